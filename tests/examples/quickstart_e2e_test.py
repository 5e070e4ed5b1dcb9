"""The quickstart does what it says, and the lines that it prints work by hand."""

import os
import pathlib
import re
import signal
import subprocess
import tempfile
import time

import pytest

QUICKSTART = pathlib.Path("examples/quickstart").resolve()
RUNFILES = pathlib.Path(f"{QUICKSTART}.runfiles/interpd")


def children_named_interpd(of: int) -> list[int]:
    """The running daemons whose socket lies in a directory that quickstart `of` made."""
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == of and (process / "comm").read_text().strip() == "interpd":
                found.append(int(process.name))
        except OSError:
            continue
    return found


def test_it_runs_and_its_lines_work_by_hand():
    result = subprocess.run([QUICKSTART], text=True, capture_output=True, timeout=240)
    assert result.returncode == 0, result.stderr

    rows = dict(re.findall(r"^  (\S.*?)  +[\d.]+ +([\d.]+)x$", result.stdout, re.MULTILINE))
    assert len(rows) == 3, result.stdout
    assert rows["1 interpreter"] == "1.00"
    files = [int(n) for n in re.findall(r"(\d+) files in [\d.]+ s$", result.stdout, re.MULTILINE)]
    assert len(files) == 3 and min(files) > 500, result.stdout
    tokens = re.findall(r"^ +(\d+)  (\S+)$", result.stdout, re.MULTILINE)
    assert len(tokens) == 10
    assert [int(n) for n, _ in tokens] == sorted((int(n) for n, _ in tokens), reverse=True)

    directory = re.search(r"unix:(\S+)/interpd.sock", result.stdout)[1]
    assert not os.path.exists(directory)

    check_lines(result.stdout.partition("The same by hand")[2].partition(":\n")[2])


def check_lines(script: str) -> None:
    lines = []
    for line in script.splitlines():
        if "bazel-bin/" in line:  # the same programs, as they lie here
            line = line.replace("tools/dev bazel-bin", str(RUNFILES))
        elif "bazel build" in line:
            continue
        lines.append(line)
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        text = "\n".join(lines)
        assert "unix:/tmp/interpd-by-hand.sock" in text
        text = text.replace("unix:/tmp/interpd-by-hand.sock", f"unix:{directory}/s")
        text = "set -e\n" + text + "\nwait\n"
        result = subprocess.run(["bash", "-c", text], cwd=RUNFILES, text=True, capture_output=True, timeout=240)
    assert result.returncode == 0, result.stderr
    assert "census-1" in result.stdout
    assert '["NEWLINE",' in result.stdout.replace(" ", "").replace("\n", ""), result.stdout


def directory_of(daemon: int) -> str:
    # For a moment a process has its new name and no command line yet.
    deadline = time.monotonic() + 30
    while b"--listen" not in (arguments := pathlib.Path(f"/proc/{daemon}/cmdline").read_bytes().split(b"\0")):
        assert time.monotonic() < deadline
    return os.path.dirname(arguments[arguments.index(b"--listen") + 1].decode().removeprefix("unix:"))


# How far the quickstart has come when the signal meets it: its daemon has just been started; interpreters are made; the
# second of its runs is on.
MOMENTS = {"daemon": 0, "greeting": 1, "run": 3}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_signal_leaves_nothing_behind(moment, number):
    process = subprocess.Popen([QUICKSTART], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 30
    while not (daemons := children_named_interpd(process.pid)):
        assert process.poll() is None and time.monotonic() < deadline
    directory = directory_of(daemons[0])
    assert os.path.exists(directory)
    for _ in range(MOMENTS[moment]):
        process.stdout.readline()
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (128 + number, "")
    assert not os.path.exists(directory)
    assert not any(os.path.exists(f"/proc/{daemon}/exe") for daemon in daemons)
