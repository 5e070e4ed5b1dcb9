"""The daemon's log as it comes out, in each form."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile

import grpc
import pytest

INTERPD = os.path.abspath("daemon/interpd")
INTERPCTL = os.path.abspath("client/interpctl")
PATIENCE = 60


@pytest.fixture
def directory():
    path = pathlib.Path(tempfile.mkdtemp(prefix="ilog", dir="/tmp"))  # short: a socket's path
    yield path
    shutil.rmtree(path)


class Daemon:
    """A daemon whose standard error is read."""

    def __init__(self, directory, *args, stderr=subprocess.PIPE, **environment):
        self.address = f"unix:{directory}/d.sock"
        self.process = subprocess.Popen([INTERPD, "--listen", self.address, *args], stderr=stderr, text=True,
                                        env={**os.environ, **environment})
        self.lines = []

    def until(self, pattern):
        for line in self.process.stderr:
            self.lines.append(line)
            if re.search(pattern, line):
                return line
        raise AssertionError((pattern, self.lines))

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        rest = self.process.communicate(timeout=PATIENCE)[1]
        self.lines += rest.splitlines(keepends=True)
        assert self.process.returncode == 0
        return self.lines


def drain(address, *metadata):
    """Asks for a drain, with headers of our own."""
    with grpc.insecure_channel(address) as channel:
        channel.unary_unary("/interpd.v1.Admin/Drain")(b"", metadata=metadata, timeout=PATIENCE)


def test_text_is_the_form_for_people(directory):
    daemon = Daemon(directory)
    assert daemon.until("ready") == f"interpd: ready {daemon.address}\n"
    lines = daemon.stop()
    assert any(re.match(r"I\d{4} [\d:.]+ .*\] draining: ", line) for line in lines), lines


def test_json_is_one_object_a_line(directory):
    daemon = Daemon(directory, "--log-format", "json")
    daemon.until("ready")
    lines = [json.loads(line) for line in daemon.stop()]
    assert lines[0]["message"] == f"ready {daemon.address}" and lines[0]["level"] == "info"
    draining = next(line for line in lines if line["message"].startswith("draining"))
    assert re.fullmatch(r"lifecycle\.cc:\d+", draining["source"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", draining["time"]) and draining["thread"] > 0


def test_the_journal_is_noticed(directory):
    """As systemd says it: JOURNAL_STREAM names the device and inode of standard error."""
    reader, writer = os.pipe()
    there = os.fstat(writer)
    daemon = Daemon(directory, stderr=writer, JOURNAL_STREAM=f"{there.st_dev}:{there.st_ino}")
    os.close(writer)
    daemon.process.stderr = open(reader)
    assert daemon.until("ready") == f"<6>ready {daemon.address}\n"
    assert all(re.match("<[346]>", line) for line in daemon.stop())


def test_errors_of_the_start_have_their_priority(directory):
    daemon = Daemon(directory / "missing", "--log-format", "journald")
    assert daemon.process.stderr.read().startswith("<3>")
    assert daemon.process.wait(PATIENCE) == 1
    daemon.process.stderr.close()


@pytest.mark.parametrize("sent, logged", [
    ("abc-123", "abc-123"), (None, r"r\d+"), ("with space", r"r\d+"), ("x" * 129, r"r\d+"), ("", r"r\d+")])
def test_lines_about_a_request_carry_its_id(directory, sent, logged):
    daemon = Daemon(directory, "--log-format", "json")
    daemon.until("ready")
    drain(daemon.address, *([] if sent is None else [("x-request-id", sent)]))
    lines = [json.loads(line) for line in daemon.process.communicate(timeout=PATIENCE)[1].splitlines()]
    asked = next(line for line in lines if "asks for a drain" in line["message"])
    assert re.fullmatch(logged, asked["request_id"])
    assert "request_id" not in next(line for line in lines if line["message"].startswith("draining"))


def test_many_lines_come_out_whole(directory):
    """Stacks of many interpreters, while the reader is slow."""
    daemon = Daemon(directory, "--log-format", "journald")
    daemon.until("ready")
    environment = {**os.environ, "INTERPD_ADDRESS": daemon.address}
    subprocess.run([INTERPCTL, "create", "--count", "40", "w"], env=environment, check=True, stdout=subprocess.DEVNULL)
    daemon.process.send_signal(signal.SIGUSR1)
    seen = set()
    while len(seen) < 40:
        seen.add(re.search(r"interpreters/(w-\d+)", daemon.until(r"interpreters/w-\d+"))[1])
    assert all(line.startswith("<6>") for line in daemon.stop())


def test_a_reader_that_takes_nothing_holds_nothing_up(directory):
    daemon = Daemon(directory)
    daemon.until("ready")
    environment = {**os.environ, "INTERPD_ADDRESS": daemon.address}
    subprocess.run([INTERPCTL, "create", "--count", "20", "w"], env=environment, check=True, stdout=subprocess.DEVNULL)
    # More than the pipe takes.
    for _ in range(40):
        daemon.process.send_signal(signal.SIGUSR1)
        subprocess.run([INTERPCTL, "exec", "w-1", "-c", "pass"], env=environment, check=True, timeout=PATIENCE)
    daemon.process.terminate()
    assert daemon.process.wait(PATIENCE) == 0
    daemon.process.stderr.close()
