"""Writes image layouts of the OCI image specification 1.1, in which nothing depends on when or where they are written."""
import hashlib
import io
import json
import os
import pathlib
import shutil
import tarfile
import zlib

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
EMPTY = "application/vnd.oci.empty.v1+json"


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Layer:
    """The files of an image. All are root's, and of the year 1970."""

    def __init__(self):
        self.data = io.BytesIO()
        self.archive = tarfile.open(fileobj=self.data, mode="w", format=tarfile.USTAR_FORMAT)
        self.present = set()

    def add_file(self, source, path):
        data = pathlib.Path(source).read_bytes()
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


class Layout:
    """An image layout that takes the place of what is at `folder` when it is finished. Methods return descriptors."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.draft = self.folder.with_name(self.folder.name + ".new")
        shutil.rmtree(self.draft, ignore_errors=True)
        (self.draft / "blobs/sha256").mkdir(parents=True)

    def blob(self, data, media_type, **fields):
        name = digest(data)
        (self.draft / "blobs" / name.replace(":", "/")).write_bytes(data)
        return {"mediaType": media_type, "digest": name, "size": len(data), **fields}

    def document(self, value, media_type, **fields):
        return self.blob(encode(value), media_type, **fields)

    def image(self, layer, machine, config, **facts):
        """An image of one layer, for the `machine` that uname names so; `facts` stand in its configuration beside `config`."""
        plain = layer.bytes()
        platform = {"architecture": ARCHITECTURES[machine], "os": "linux"}
        rootfs = {"type": "layers", "diff_ids": [digest(plain)]}
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.document({**platform, "config": config, "rootfs": rootfs, **facts}, CONFIG),
            "layers": [self.blob(compress(plain), LAYER)],
        }
        return self.document(manifest, MANIFEST, platform=platform)

    def index(self, images, annotations):
        value = {"schemaVersion": 2, "mediaType": INDEX, "manifests": images, "annotations": annotations}
        return self.document(value, INDEX)

    def attach(self, image, name, data, media_type, annotations):
        """Makes `data` a referrer of `image`: an artifact that names it as its subject, and its file `name` when it is pulled."""
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": media_type,
            "config": self.document({}, EMPTY),
            "layers": [self.blob(data, media_type, annotations={"org.opencontainers.image.title": name})],
            "subject": {key: image[key] for key in ("mediaType", "digest", "size")},
            "annotations": annotations,
        }
        return self.document(manifest, MANIFEST, artifactType=media_type)

    def finish(self, tag, image, referrers=()):
        """Names `image` by `tag`; a layout lists its referrers without a name."""
        named = {**image, "annotations": {"org.opencontainers.image.ref.name": tag}}
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [named, *referrers]}
        (self.draft / "oci-layout").write_bytes(encode({"imageLayoutVersion": "1.0.0"}))
        (self.draft / "index.json").write_bytes(encode(index))
        shutil.rmtree(self.folder, ignore_errors=True)
        self.draft.rename(self.folder)


def encode(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def compress(data):
    # Unlike the module gzip, this writes no time, nor anything of this Python.
    gzip = zlib.compressobj(level=6, wbits=31)
    return gzip.compress(data) + gzip.flush()
