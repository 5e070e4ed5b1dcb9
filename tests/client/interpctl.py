"""interpctl and the daemon as tests of the command line use them: the real programs."""

import json
import os
import pathlib
import pty
import re
import select
import shutil
import subprocess
import tempfile
import time

import pytest

INTERPD = os.path.abspath("daemon/interpd")
INTERPCTL = os.path.abspath("client/interpctl")
# For what must happen, on a busy machine too; nothing waits so long when all is well.
PATIENCE = 60


class Daemon:
    def __init__(self, directory, *args):
        self.address = f"unix:{directory}/d.sock"
        self.process = subprocess.Popen(
            [INTERPD, "--listen", self.address, *args], stderr=subprocess.PIPE, text=True)
        self.log = []
        for line in self.process.stderr:
            self.log.append(line)
            if "interpd: ready" in line:
                return
        raise AssertionError("the daemon did not get ready: " + "".join(self.log))

    def stop(self):
        self.process.terminate()
        self.log.append(self.process.communicate(timeout=PATIENCE)[1])
        return self.process.returncode


@pytest.fixture(scope="module")
def directory():
    # Not under TEST_TMPDIR: the path of a socket has at most 107 bytes.
    path = tempfile.mkdtemp(prefix="ictl", dir="/tmp")
    yield pathlib.Path(path)
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def daemon(directory):
    daemon = Daemon(directory)
    yield daemon
    assert daemon.stop() == 0, "".join(daemon.log)


class Ctl:
    """Runs interpctl on one daemon."""

    def __init__(self, address):
        self.environment = {**os.environ, "INTERPD_ADDRESS": address}

    def __call__(self, *args, stdin="", cwd=None, code=0):
        """The finished process; its exit code must be `code`."""
        done = subprocess.run([INTERPCTL, *map(str, args)], input=stdin, capture_output=True, text=True,
                              env=self.environment, cwd=cwd, timeout=PATIENCE)
        assert done.returncode == code, (args, done)
        return done

    def start(self, *args, **options):
        return subprocess.Popen([INTERPCTL, *map(str, args)], env=self.environment, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)

    def json(self, *args):
        return json.loads(self("-o", "json", *args).stdout)


@pytest.fixture
def ctl(daemon):
    """Leaves no interpreter behind."""
    ctl = Ctl(daemon.address)
    yield ctl
    ctl("close", "--all", "--grace", "0")


def wait_until(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class Terminal:
    """interpctl on a terminal of its own."""

    def __init__(self, ctl, *args, **environment):
        pid, self.fd = pty.fork()
        if pid == 0:
            environment = {**ctl.environment, "TERM": "xterm", "LANG": "C.UTF-8", **environment}
            os.execve(INTERPCTL, [INTERPCTL, *args], environment)
        self.pid = pid
        self.seen = ""

    def expect(self, pattern):
        """Waits for output that matches, from where the last match ended."""
        deadline = time.monotonic() + PATIENCE
        while not (match := re.search(pattern, self.seen)):
            assert time.monotonic() < deadline, (pattern, self.seen)
            if select.select([self.fd], [], [], 1)[0]:
                try:
                    self.seen += os.read(self.fd, 65536).decode(errors="replace")
                except OSError:  # the other end is gone
                    raise AssertionError((pattern, self.seen)) from None
        self.seen = self.seen[match.end():]
        return match

    def type(self, text):
        os.write(self.fd, text.encode())

    def exit_code(self):
        deadline = time.monotonic() + PATIENCE
        try:
            while True:
                assert select.select([self.fd], [], [], max(0, deadline - time.monotonic()))[0], "it does not end"
                os.read(self.fd, 65536)
        except OSError:  # the other end is gone
            pass
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
