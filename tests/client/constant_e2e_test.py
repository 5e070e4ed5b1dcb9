"""interpctl constant: the real program against a real daemon, files, restarts, and a daemon that is killed."""

import array
import json
import os
import pathlib
import signal
import struct
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from interpctl import INTERPD, PATIENCE, Ctl, Daemon, Terminal  # noqa: E402
from interpctl import ctl as any_ctl, daemon, directory  # noqa: E402, F401


@pytest.fixture
def ctl(any_ctl):
    """Leaves no constant behind."""
    yield any_ctl
    for name in any_ctl("constant", "list", "-q").stdout.split():
        any_ctl("constant", "delete", name)


def get(ctl, name):
    return ctl.json("constant", "get", name)


def python(ctl, code, name="one"):
    """What code writes that has `c`, the constant c."""
    done = ctl("exec", name, "-c", "import interpd; c = interpd.constants['c']\n" + code)
    return done.stdout.strip()


def npy(dtype, shape, data, fortran_order=False):
    header = f"{{'descr': '{dtype}', 'fortran_order': {fortran_order}, 'shape': {shape}, }}".encode()
    header += b" " * (63 - (len(header) + 10) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


# ---- put -------------------------------------------------------------------------------------------------------------

def test_json_becomes_what_it_stands_for(ctl, tmp_path):
    file = tmp_path / "c.json"
    file.write_text('{"a": [1, 2.5, null, true], "s": {"$set": ["x"]}, "b": {"$bytes": "AP8="},'
                    ' "big": 123456789012345678901234567890, "ü": "ß", "d": {"$dict": [[1, {"k": "v"}]]}}')
    ctl("create", "one")
    assert ctl("constant", "put", "c", file).stdout == "c version 1\n"
    assert python(ctl, "print(type(c).__name__, c['a'], c['s'], c['b'], c['big'], c['ü'], c['d'][1]['k'])") == (
        "mappingproxy (1, 2.5, None, True) frozenset({'x'}) b'\\x00\\xff' 123456789012345678901234567890 ß v")
    assert ctl("constant", "put", "c", file).stdout == "c version 1, unchanged\n"
    file.write_text("[]")
    assert ctl("constant", "put", "c", file).stdout == "c version 2\n"
    assert python(ctl, "print(c)") == "()"


def test_an_array_of_numpy_is_used_without_a_copy(ctl, tmp_path):
    file = tmp_path / "c.npy"
    file.write_bytes(npy("<f8", "(2, 3)", array.array("d", [1, 2, 3, 4, 5, 6]).tobytes()))
    ctl("create", "one")
    ctl("constant", "put", "c", file)
    assert python(ctl, "print(c['shape'], c['dtype'], c['fortran_order'], type(c['data']).__name__)\n"
                       "m = memoryview(c['data']).cast('d', c['shape'])\n"
                       "print(m[1, 2], m.obj is c['data'])") == "(2, 3) <f8 False bytes\n6.0 True"


def test_any_other_file_is_bytes(ctl, tmp_path):
    content = bytes(range(256)) * 20_000  # more than one message
    file = tmp_path / "c.bin"
    file.write_bytes(content)
    ctl("create", "one")
    ctl("constant", "put", "c", file)
    assert python(ctl, "print(type(c).__name__, len(c), c == bytes(range(256)) * 20_000)") == "bytes 5120000 True"


def test_standard_input(ctl):
    ctl("create", "one")
    ctl("constant", "put", "c", "-", stdin="[1]")
    assert python(ctl, "print(c)") == "b'[1]'"
    ctl("constant", "put", "c", "-", "--as", "json", stdin="[1]")
    assert python(ctl, "print(c)") == "(1,)"


def test_what_is_no_json_or_npy_is_refused(ctl, tmp_path):
    bad_json, bad_npy = tmp_path / "c.json", tmp_path / "c.npy"
    bad_json.write_text("[1,")
    bad_npy.write_bytes(npy("<f8", "(2,)", b"x"))
    assert "c.json: not JSON" in ctl("constant", "put", "c", bad_json, code=2).stderr
    assert "c.npy: no whole .npy file" in ctl("constant", "put", "c", bad_npy, code=2).stderr
    bad_npy.write_bytes(npy("|O", "(2,)", b"x"))
    assert "pickles" in ctl("constant", "put", "c", bad_npy, code=2).stderr
    assert "standard input" in ctl("constant", "put", "c", "-", "--as", "json", stdin="{", code=2).stderr
    ctl("constant", "put", "c", tmp_path / "missing", code=4)
    bad_json.write_text('{"a": [1, {"$channel": "x"}]}')
    assert "data['a'][1]" in ctl("constant", "put", "c", bad_json, code=2).stderr
    assert ctl("constant", "list", "-q").stdout == ""


def test_a_name_that_is_none(ctl):
    assert "constants/ID" in ctl("constant", "put", "a b", "-", stdin="x", code=2).stderr


def test_a_bar_shows_how_far_it_has_come(ctl, tmp_path):
    file = tmp_path / "c.bin"
    file.write_bytes(os.urandom(3 << 20))
    terminal = Terminal(ctl, "constant", "put", "c", str(file))
    terminal.expect(r"\[=+>? *\] +33%, 1 MiB of 3.0 MiB")
    terminal.expect(r"\[=+\] 100%, 3.0 MiB of 3.0 MiB; the daemon builds it")
    terminal.expect("c version 1")
    assert terminal.exit_code() == 0


# ---- get list delete -------------------------------------------------------------------------------------------------

def test_get_list_and_delete(ctl):
    ctl("constant", "put", "c", "-", stdin="x" * 100)
    ctl("constant", "put", "b", "-", "--as", "json", stdin="[1000, 2000]")
    assert ctl("constant", "list", "-q").stdout == "b\nc\n"
    rows = [line.split() for line in ctl("constant", "list").stdout.splitlines()]
    assert rows[0] == ["NAME", "STATE", "VERSION", "OBJECTS", "BYTES", "INTERPRETERS", "RETIRED"]
    assert rows[1][:4] == ["b", "active", "1", "3"]
    fields = dict(line.split(":", 1) for line in ctl("constant", "get", "c").stdout.splitlines())
    assert fields["Type"].strip() == "bytes" and fields["Persistent"].strip() == "no"
    assert len(fields["Digest"].strip()) == 64
    made = get(ctl, "constants/c")
    assert made["name"] == "constants/c" and made["version"] == "1" and made["state"] == "ACTIVE"
    assert [one["name"] for one in ctl.json("constant", "list")] == ["constants/b", "constants/c"]
    assert ctl.json("info")["constant_count"] == "2"
    assert "no" in ctl("constant", "delete", "c", "no", "b", code=4).stderr
    assert ctl.json("constant", "list") == []
    assert ctl("constant", "get", "c", code=4).stdout == ""


def test_who_has_seen_it_and_what_is_retired(ctl):
    ctl("constant", "put", "c", "-", stdin="x" * 1_000_000)
    for name in ("one", "two"):
        ctl("create", name)
        python(ctl, "len(c)", name)
    assert get(ctl, "c")["interpreter_count"] == "2"
    ctl("constant", "put", "c", "-", stdin="y")
    assert get(ctl, "c")["interpreter_count"] == "0" and int(get(ctl, "c")["retired_bytes"]) >= 1_000_000
    ctl("constant", "delete", "c")
    (left,) = ctl.json("constant", "list")
    assert left["state"] == "RETIRED" and int(left["retired_bytes"]) >= 1_000_000
    assert ctl("constant", "list", "-q").stdout == ""
    ctl("close", "one")
    assert len(ctl.json("constant", "list")) == 1
    ctl("close", "two")
    assert ctl.json("constant", "list") == []


def test_put_as_json_document(ctl):
    answer = json.loads(ctl("-o", "json", "constant", "put", "c", "-", stdin="x").stdout)
    assert answer["unchanged"] is False and answer["constant"]["version"] == "1"
    assert ctl("-q", "constant", "put", "c", "-", stdin="x").stdout == "c\n"


# ---- limits ----------------------------------------------------------------------------------------------------------

def test_a_constant_over_the_limit(tmp_path):
    daemon = Daemon(tmp_path, "--max-constant-bytes", "100000")
    ctl = Ctl(daemon.address)
    assert "--max-constant-bytes" in ctl("constant", "put", "c", "-", stdin="x" * 200_000, code=5).stderr
    # Few bytes on the way, many in memory.
    numbers = json.dumps(list(range(1000, 21000)))
    assert "limit" in ctl("constant", "put", "c", "-", "--as", "json", stdin=numbers, code=5).stderr
    ctl("constant", "put", "c", "-", stdin="x" * 50_000)
    assert daemon.stop() == 0


# ---- persistence -----------------------------------------------------------------------------------------------------

@pytest.fixture
def home(directory):
    """A directory for a daemon of its own, of a short path."""
    path = directory / "persist"
    path.mkdir()
    yield path
    subprocess.run(["rm", "-r", path], check=True)


def start(home):
    daemon = Daemon(home, "--constants-dir", str(home / "constants"))
    return daemon, Ctl(daemon.address)


def test_what_is_put_to_persist_comes_back(home):
    daemon, ctl = start(home)
    ctl("constant", "put", "c", "-", "--as", "json", "--persist", stdin='{"a": [1, {"$complex": [1, 2]}]}')
    ctl("constant", "put", "gone", "-", stdin="x")
    before = get(ctl, "c")
    assert before["persistent"] is True and get(ctl, "gone")["persistent"] is False
    assert [file.name for file in (home / "constants").iterdir() if not file.name.startswith(".")] == ["c.constant"]
    assert daemon.stop() == 0

    daemon, ctl = start(home)
    after = get(ctl, "c")
    assert after["digest"] == before["digest"] and after["persistent"] is True
    assert ctl("constant", "list", "-q").stdout == "c\n"
    ctl("create", "one")
    assert python(ctl, "print(c['a'])") == "(1, (1+2j))"
    # A version that is not to persist leaves the file; the same content again may come to persist.
    ctl("constant", "put", "c", "-", stdin="new")
    assert get(ctl, "c")["persistent"] is False
    daemon.process.kill()
    daemon.process.wait()

    daemon, ctl = start(home)
    assert get(ctl, "c")["digest"] == before["digest"]
    ctl("constant", "put", "c", "-", stdin="new")
    assert ctl("constant", "put", "c", "-", "--persist", stdin="new").stdout == "c version 2, unchanged\n"
    assert get(ctl, "c")["persistent"] is True
    daemon.process.kill()
    daemon.process.wait()

    daemon, ctl = start(home)
    ctl("create", "one")
    assert python(ctl, "print(c)") == "b'new'"
    ctl("constant", "delete", "c")
    assert list((home / "constants").glob("*.constant")) == []
    assert daemon.stop() == 0


def test_persist_needs_a_directory(ctl):
    assert "--constants-dir" in ctl("constant", "put", "c", "-", "--persist", stdin="x", code=2).stderr


def test_a_file_that_cannot_be_written_leaves_the_constant_as_it_was(home):
    daemon, ctl = start(home)
    ctl("constant", "put", "c", "-", "--persist", stdin="old")
    (home / "constants").rename(home / "elsewhere")
    (home / "elsewhere" / "c.constant").rename(home / "c.constant")
    (home / "elsewhere" / ".lock").unlink()
    (home / "elsewhere").rmdir()
    failed = ctl("constant", "put", "c", "-", "--persist", stdin="new", code=5)
    assert "constants/c stays as it was" in failed.stderr
    assert get(ctl, "c")["version"] == "1"
    ctl("create", "one")
    assert python(ctl, "print(c)") == "b'old'"
    assert daemon.stop() == 0


def refused(home):
    """What a daemon says that does not start."""
    done = subprocess.run([INTERPD, "--listen", f"unix:{home}/d.sock", "--constants-dir", home / "constants"],
                          capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 1, done
    return done.stderr


def test_a_bad_file_is_named_at_the_start(home):
    daemon, ctl = start(home)
    ctl("constant", "put", "c", "-", "--persist", stdin="content")
    assert daemon.stop() == 0
    file = home / "constants" / "c.constant"
    good = file.read_bytes()
    file.write_bytes(good[:-1])
    assert f"{file} is damaged" in refused(home)
    file.write_bytes(good[:-1] + b"T")
    assert f"{file} is damaged: its checksum" in refused(home)
    file.write_bytes(good)
    other = home / "constants" / "prices.json"
    other.write_text("{}")
    assert f"{other} is no file of a constant" in refused(home)
    other.unlink()
    daemon, ctl = start(home)
    assert ctl("constant", "list", "-q").stdout == "c\n"
    assert "another daemon" in subprocess.run(
        [INTERPD, "--listen", f"unix:{home}/e.sock", "--constants-dir", home / "constants"],
        capture_output=True, text=True, timeout=PATIENCE).stderr
    assert daemon.stop() == 0


def test_a_daemon_that_is_killed_leaves_whole_files(home):
    for round_ in range(5):
        daemon, ctl = start(home)
        putters = [ctl.start("constant", "put", f"c{i}", "-", "--persist", stdin=subprocess.PIPE) for i in range(4)]
        for i, putter in enumerate(putters):
            putter.stdin.write(f"{round_} {i} " * 100_000)
            putter.stdin.close()
        putters[round_ % 4].wait(PATIENCE)
        daemon.process.send_signal(signal.SIGKILL)
        daemon.process.wait()
        for putter in putters:
            putter.wait(PATIENCE)
            putter.stdout.close()
            putter.stderr.close()
    daemon, ctl = start(home)  # every file is whole, or this fails
    ctl("create", "one")
    for name in ctl("constant", "list", "-q").stdout.split():
        ctl("exec", "one", "-c", f"import interpd; c = interpd.constants['{name}'].split()\n"
                                 f"assert len(c) == 200_000 and len(set(c)) <= 2, c[:4]")
    assert not list((home / "constants").glob(".*.new"))
    assert daemon.stop() == 0


def test_ctrl_c_ends_a_put(ctl, tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    putter = ctl.start("constant", "put", "c", fifo)
    with open(fifo, "w") as file:  # it reads by now
        putter.send_signal(signal.SIGINT)
        file.write("x" * (64 << 20))  # far more than the time that takes to be seen
    assert putter.wait(PATIENCE) == 130
    putter.stdout.close()
    putter.stderr.close()
    assert ctl("constant", "list", "-q").stdout == ""


# ---- publish ---------------------------------------------------------------------------------------------------------

def test_who_may_publish(ctl):
    ctl("create", "one", "--may-publish")
    ctl("create", "two")
    publish = "import interpd; interpd.publish('c', {'a': [1, 2]})"
    assert "PermissionError" in ctl("exec", "two", "-c", publish, code=1).stderr
    ctl("exec", "one", "-c", publish)
    assert python(ctl, "print(c['a'])", "two") == "(1, 2)"
    assert get(ctl, "c")["persistent"] is False
    assert ctl.json("get", "one")["config"]["may_publish"] is True
