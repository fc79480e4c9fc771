#!/usr/bin/env python3
"""Packs files of this machine into a one-layer image archive that `ctr images import` takes.

usage: image.py NAME:TAG OUT.tar ENTRYPOINT_JSON [ITEM]...

An ITEM is one of
  FILE:PATH    the file FILE, as PATH in the image
  FOLDER/:PATH everything in FOLDER, below PATH
  @TARGET:PATH a symbolic link to TARGET, as PATH
  +FILE        a program or library with every shared library that it needs, where they are here
"""
import hashlib
import io
import json
import os
import platform
import re
import subprocess
import sys
import tarfile

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


class Layer:
    """The files of an image, with nothing in them that changes from one run to the next."""

    def __init__(self):
        self.data = io.BytesIO()
        self.archive = tarfile.open(fileobj=self.data, mode="w")
        self.present = set()

    def add(self, item):
        if item.startswith("+"):
            self.add_program(item[1:])
            return
        source, path = item.rsplit(":", 1)
        if source.startswith("@"):
            self.add_link(source[1:], path)
        elif source.endswith("/"):
            self.add_folder(source, path)
        else:
            self.add_file(source, path)

    def add_program(self, program):
        self.add_file(program, program)
        self.add_libraries(program)

    def add_libraries(self, program):
        listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
        for library in re.findall(r"(/\S+) \(0x", listed):
            self.add_file(library, library)

    def add_folder(self, source, path):
        for folder, folders, names in os.walk(source):
            folders[:] = sorted(name for name in folders if name != "__pycache__")
            for name in sorted(names):
                file = os.path.join(folder, name)
                target = os.path.join(path, os.path.relpath(file, source))
                if file.endswith(".so"):
                    self.add_libraries(file)
                self.add_file(file, target)

    def add_file(self, source, path):
        with open(source, "rb") as file:
            data = file.read()
        mode = 0o755 if os.access(source, os.X_OK) else 0o644
        self.put(path, tarfile.REGTYPE, mode, data)

    def add_link(self, target, path):
        self.put(path, tarfile.SYMTYPE, 0o777, linkname=target)

    def put(self, path, kind, mode, data=b"", linkname=""):
        path = path.strip("/")
        if path in self.present:
            return
        self.present.add(path)
        parent = os.path.dirname(path)
        if parent:
            self.put(parent, tarfile.DIRTYPE, 0o755)
        entry = tarfile.TarInfo(path)
        entry.type, entry.mode, entry.size, entry.linkname = kind, mode, len(data), linkname
        self.archive.addfile(entry, io.BytesIO(data))

    def bytes(self):
        self.archive.close()
        return self.data.getvalue()


def main(name, out, entrypoint, *items):
    layer = Layer()
    for item in items:
        layer.add(item)
    plain = layer.bytes()
    config = json.dumps({
        "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": {"Entrypoint": json.loads(entrypoint), "Env": ["PATH=/bin:/usr/bin"]},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(plain).hexdigest()]},
    }).encode()
    config_name = hashlib.sha256(config).hexdigest() + ".json"
    manifest = json.dumps([{"Config": config_name, "RepoTags": [name], "Layers": ["layer.tar"]}]).encode()
    with tarfile.open(out, "w") as archive:
        for path, data in [(config_name, config), ("layer.tar", plain), ("manifest.json", manifest)]:
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(data), 0o644
            archive.addfile(entry, io.BytesIO(data))


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
