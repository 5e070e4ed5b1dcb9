"""The OCI image and the portable service: well-formed, small, and a daemon that works with nothing else around it."""

import gzip
import hashlib
import io
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

OCI = pathlib.Path("deploy/interpd-oci.tar").resolve()
PORTABLE = pathlib.Path("deploy/interpd-portable.tar.gz").resolve()
PATIENCE = 60
MOST_BYTES = 40 << 20  # it was 28 MiB when this was written


class Image:
    def __init__(self):
        with tarfile.open(OCI) as archive:
            self.files = {info.name: archive.extractfile(info).read() for info in archive if info.isfile()}

    def blob(self, descriptor):
        algorithm, digest = descriptor["digest"].split(":")
        data = self.files[f"blobs/{algorithm}/{digest}"]
        assert hashlib.sha256(data).hexdigest() == digest and len(data) == descriptor["size"]
        return data

    def json(self, descriptor):
        return json.loads(self.blob(descriptor))


@pytest.fixture(scope="module")
def image():
    return Image()


@pytest.fixture(scope="module")
def manifest(image):
    assert json.loads(image.files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    [descriptor] = json.loads(image.files["index.json"])["manifests"]
    return image.json(descriptor)


@pytest.fixture(scope="module")
def config(image, manifest):
    return image.json(manifest["config"])


@pytest.fixture(scope="module")
def layer(image, manifest, config):
    [descriptor] = manifest["layers"]
    data = gzip.decompress(image.blob(descriptor))
    assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(data).hexdigest()}"]
    return data


@pytest.fixture(scope="module")
def root(layer):
    path = pathlib.Path(tempfile.mkdtemp(prefix="interpd-image-", dir="/var/tmp"))
    path.chmod(0o755)
    with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
        archive.extractall(path, filter="fully_trusted" if os.geteuid() == 0 else "tar")
    yield path
    shutil.rmtree(path)


def test_it_is_small():
    assert OCI.stat().st_size < MOST_BYTES


def test_it_can_be_made_again_the_same(layer):
    """What would differ from one making to the next."""
    with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
        infos = list(archive)
    paths = [pathlib.PurePath(info.name) for info in infos]
    assert paths == sorted(paths) and {info.mtime for info in infos} == {infos[0].mtime}
    assert not any(info.uname or info.gname for info in infos)


def test_there_is_no_shell(root):
    assert sorted(path.name for path in (root / "usr/bin").iterdir()) == ["interpctl", "interpd"]


# In a mount namespace of its own, as whoever runs an image does it.
ENTER = """
set -e
root=$1 user=$2; shift 2
mount --rbind /proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/tmp"
exec chroot --userspec="$user" "$root" "$@"
"""


@pytest.fixture
def run(root, config):
    """Runs something inside, as the image says."""
    if os.geteuid() != 0:
        pytest.skip("entering another root takes root")
    settings = config["config"]
    environment = dict(variable.split("=", 1) for variable in settings["Env"])

    def run(*command, **options):
        return subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", ENTER, "enter", root, settings["User"],
             *command], env={**environment, "PATH": "/usr/bin:/bin:/usr/sbin:/sbin"}, text=True, **options)

    return run


def test_the_daemon_works_inside(run, config):
    daemon = run(*config["config"]["Entrypoint"], stderr=subprocess.PIPE)
    try:
        line = daemon.stderr.readline()
        assert line == "interpd: ready unix:/run/interpd/interpd.sock\n", line

        def ctl(*args):
            client = run("/usr/bin/interpctl", "--address", "unix:/run/interpd/interpd.sock", *args,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            out, err = client.communicate(timeout=PATIENCE)
            assert client.returncode == 0, (args, err)
            return out

        ctl("create", "one")
        ctl("job", "list")
        # Whatever of the standard library has a part in C, and so libraries of its own.
        code = """
import asyncio, bz2, ctypes, decimal, hashlib, json, lzma, multiprocessing, socket, sqlite3, ssl, subprocess
import threading, unicodedata, uuid, xml.dom.minidom, zlib, zoneinfo
assert hashlib.new("sha3_256", b"").hexdigest() and zlib.decompress(zlib.compress(b"a")) == b"a"
assert sqlite3.connect(":memory:").execute("select 6 * 7").fetchone() == (42,)
assert ssl.create_default_context().get_ca_certs() is not None
thread = threading.Thread(target=lambda: None); thread.start(); thread.join()
asyncio.run(asyncio.sleep(0))
import json.decoder, os
assert os.path.exists(json.decoder.__cached__)
print("all")
"""
        assert ctl("exec", "one", "-c", code) == "all\n"
        # A traceback shows the standard library's lines.
        assert "raise JSONDecodeError" in ctl("exec", "one", "-c", """
import json, traceback
try: json.loads("[")
except ValueError: print(traceback.format_exc())
""")
    finally:
        daemon.terminate()
        assert daemon.wait(PATIENCE) == 0
        daemon.stderr.close()


def test_the_portable_service_has_what_systemd_looks_for(layer):
    assert gzip.decompress(PORTABLE.read_bytes()) == layer
    with tarfile.open(PORTABLE) as archive:
        names = set(archive.getnames())
        release = archive.extractfile("./usr/lib/os-release").read().decode()
    assert "PORTABLE_PREFIXES=interpd\n" in release and "\nID=debian\n" in release
    assert {"./usr/lib/systemd/system/interpd.service", "./usr/lib/systemd/system/interpd.socket", "./etc/machine-id",
            "./etc/resolv.conf", "./proc", "./sys", "./dev", "./run", "./tmp", "./var/tmp"} <= names
