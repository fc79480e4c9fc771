#!/usr/bin/env python3
"""Packs files of this machine into an image layout of one layer.

usage: image.py FOLDER TAG ENTRYPOINT_JSON [ITEM]...

An ITEM is one of
  FILE:PATH    the file FILE, as PATH in the image
  FOLDER/:PATH everything in FOLDER, below PATH
  @TARGET:PATH a symbolic link to TARGET, as PATH
  +FILE        a program or library with every shared library that it needs, where they are here
  =NAME=VALUE  a variable of its environment
"""
import json
import os
import pathlib
import platform
import re
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "images"))
import oci  # noqa: E402


class Items(oci.Layer):
    """A layer of what the arguments say, and the environment."""

    def __init__(self):
        super().__init__()
        self.environment = ["PATH=/bin:/usr/bin"]

    def add(self, item):
        if item.startswith("+"):
            self.add_program(item[1:])
            return
        if item.startswith("="):
            self.environment.append(item[1:])
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


def main(folder, tag, entrypoint, *items):
    layer = Items()
    for item in items:
        layer.add(item)
    layout = oci.Layout(folder)
    config = {"Entrypoint": json.loads(entrypoint), "Env": layer.environment}
    layout.finish(tag, layout.image(layer, platform.machine(), config))


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
