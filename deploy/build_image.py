"""build_image.py TREE OUTPUT_OCI OUTPUT_PORTABLE VERSION: an OCI image and a portable service, of one file system.

TREE is what build_tree has laid out. Added to it: the libraries that its programs and CPython's extension modules load,
and CPython's standard library, both as the distribution's packages have them; a user; the directories that whoever runs
it mounts something on. No shell, no package manager: what is not needed to serve is not there.

The same inputs make the same files, byte for byte.
"""

import compileall
import contextlib
import gzip
import hashlib
import io
import json
import os
import pathlib
import py_compile
import re
import shutil
import subprocess
import sys
import tarfile

PYTHON = "python3.14"
STDLIB = pathlib.Path("/usr/lib") / PYTHON
# Tests, editors, installers, and what is drawn on a screen; and what only compiling extension modules takes.
NOT_SERVED = {"test", "tests", "idlelib", "idle_test", "tkinter", "turtledemo", "turtle.py", "ensurepip", "pydoc_data",
              "lib2to3", "__pycache__", "dist-packages", "site-packages"}
# Any fixed time does; this is the first of 2026.
EPOCH = 1767225600
# Of the system user, inside. A number, so that whoever runs it needs no name.
UID = 991
# What portablectl adds to the unit. Its own profiles do not fit: "default" hides from the daemon who connects, and has
# a dynamic user; "trusted" shows it all of /run. The unit fences itself.
PROFILE = """[Service]
MountAPIVFS=yes
BindLogSockets=yes
BindReadOnlyPaths=/etc/machine-id
BindReadOnlyPaths=-/etc/resolv.conf
"""


def libraries(program: pathlib.Path) -> set[str]:
    """The files that the program loads at its start, as the dynamic linker finds them."""
    listing = subprocess.run(["ldd", str(program)], capture_output=True, text=True).stdout
    return set(re.findall(r"(?:=> )?(/\S+) \(0x", listing))


def add_library(root: pathlib.Path, library: str) -> None:
    """The file, under the name by which it is looked for."""
    target = root / os.path.realpath(os.path.dirname(library)).lstrip("/") / os.path.basename(library)
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(os.path.realpath(library), target)
        target.chmod(0o755)


def add_python(root: pathlib.Path) -> None:
    for directory, names, files in os.walk(STDLIB):
        names[:] = sorted(name for name in names if name not in NOT_SERVED and not name.startswith("config-"))
        for name in files:
            source = pathlib.Path(directory) / name
            if name in NOT_SERVED or name.endswith((".a", ".pyc")):
                continue
            target = root / str(source).lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(os.path.realpath(source), target)
            if name.endswith(".so"):
                for library in libraries(source):
                    add_library(root, library)
    # Compiled here, since nobody may write there; never checked against the source, so that times do not matter.
    with contextlib.redirect_stdout(io.StringIO()):
        done = compileall.compile_dir(
            str(root / str(STDLIB).lstrip("/")), quiet=2, stripdir=str(root), prependdir="/",
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    if not done:
        raise SystemExit("build_image: the standard library does not compile")


def add_system(root: pathlib.Path) -> None:
    for name in ("bin", "lib", "lib64", "sbin"):
        (root / "usr" / name).mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(f"usr/{name}")
    # What is mounted, or made by whoever runs it.
    for name in ("dev", "proc", "sys", "run", "run/interpd", "tmp", "var/tmp", "var/lib/interpd"):
        (root / name).mkdir(parents=True, exist_ok=True)
    etc = root / "etc"
    for name in ("machine-id", "resolv.conf", "hosts"):
        (etc / name).touch()
    (etc / "passwd").write_text(f"root:x:0:0:root:/root:/usr/sbin/nologin\n"
                                f"interpd:x:{UID}:{UID}::/var/lib/interpd:/usr/sbin/nologin\n")
    (etc / "group").write_text(f"root:x:0:\ninterpd:x:{UID}:\n")
    (etc / "nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files dns\n")
    release = pathlib.Path("/etc/os-release").read_text()
    (root / "usr/lib/os-release").write_text(release.rstrip("\n") + "\nPORTABLE_PREFIXES=interpd\n")
    (etc / "os-release").symlink_to("../usr/lib/os-release")
    profile = root / "usr/lib/systemd/portable/profile/interpd/service.conf"
    profile.parent.mkdir(parents=True)
    profile.write_text(PROFILE)
    certificates = pathlib.Path("/etc/ssl/certs/ca-certificates.crt")
    if certificates.exists():
        target = etc / "ssl/certs/ca-certificates.crt"
        target.parent.mkdir(parents=True)
        shutil.copyfile(certificates, target)


def make_root(root: pathlib.Path) -> None:
    add_system(root)
    for program in ("interpd", "interpctl"):
        for library in libraries(root / "usr/bin" / program):
            add_library(root, library)
    # Loaded later, when a thread is ended.
    add_library(root, "/usr/lib/x86_64-linux-gnu/libgcc_s.so.1")
    add_python(root)
    shutil.rmtree(root / "usr/share")  # manuals and completions


def entry(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.mtime, info.uname, info.gname = EPOCH, "", ""
    info.uid = info.gid = UID if info.name.split("/", 1)[-1] in ("var/lib/interpd", "run/interpd") else 0
    info.mode = 0o755 if info.isdir() or info.mode & 0o100 else 0o644
    if info.name.split("/", 1)[-1] in ("tmp", "var/tmp"):
        info.mode = 0o1777
    return info


def tar_of(root: pathlib.Path) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for path in sorted(root.rglob("*")):
            archive.add(path, arcname=f"./{path.relative_to(root)}", recursive=False, filter=entry)
    return data.getvalue()


class Layout:
    """An OCI image layout in one tar file: blobs by their digests, and an index."""

    def __init__(self):
        self.files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}

    def add(self, data: bytes, media_type: str) -> dict:
        digest = hashlib.sha256(data).hexdigest()
        self.files[f"blobs/sha256/{digest}"] = data
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    def add_json(self, value: dict, media_type: str) -> dict:
        return self.add(json.dumps(value, sort_keys=True).encode(), media_type)

    def write(self, path: pathlib.Path) -> None:
        with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as archive:
            for name, data in sorted(self.files.items()):
                info = tarfile.TarInfo(name)
                info.size, info.mtime = len(data), EPOCH
                archive.addfile(info, io.BytesIO(data))


def write_image(layer: bytes, version: str, path: pathlib.Path) -> None:
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
    kind = "application/vnd.oci.image"
    layout = Layout()
    compressed = gzip.compress(layer, compresslevel=9, mtime=0)
    layer_of = layout.add(compressed, f"{kind}.layer.v1.tar+gzip")
    created = "2026-01-01T00:00:00Z"
    config = layout.add_json({
        "created": created, "architecture": architecture, "os": "linux",
        "config": {
            "User": f"{UID}:{UID}", "Env": ["PATH=/usr/bin", "LANG=C.UTF-8", "RUNTIME_DIRECTORY=/run/interpd",
                                                   "STATE_DIRECTORY=/var/lib/interpd"],
            "Entrypoint": ["/usr/bin/interpd"], "WorkingDir": "/var/lib/interpd", "StopSignal": "SIGTERM",
            "Volumes": {"/run/interpd": {}, "/var/lib/interpd": {}},
            "Labels": {"org.opencontainers.image.title": "interpd", "org.opencontainers.image.version": version,
                       "org.opencontainers.image.licenses": "Apache-2.0"},
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
        "history": [{"created": created, "created_by": "interpd's deploy/build_image.py"}],
    }, f"{kind}.config.v1+json")
    manifest = layout.add_json({"schemaVersion": 2, "mediaType": f"{kind}.manifest.v1+json", "config": config,
                                "layers": [layer_of]}, f"{kind}.manifest.v1+json")
    manifest |= {"platform": {"architecture": architecture, "os": "linux"},
                 "annotations": {"org.opencontainers.image.ref.name": version}}
    layout.files["index.json"] = json.dumps({"schemaVersion": 2, "mediaType": f"{kind}.index.v1+json",
                                             "manifests": [manifest]}, sort_keys=True).encode()
    layout.write(path)


def main() -> None:
    root, oci, portable, header = map(pathlib.Path, sys.argv[1:])
    version = re.search(r'kVersion\[\] = "(.*)"', header.read_text())[1]
    make_root(root)
    layer = tar_of(root)
    write_image(layer, version, oci)
    portable.write_bytes(gzip.compress(layer, compresslevel=9, mtime=0))


if __name__ == "__main__":
    main()
