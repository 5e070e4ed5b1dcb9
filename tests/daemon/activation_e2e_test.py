"""Socket activation: the listening socket is another's, and outlives the daemon."""

import fcntl
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import threading
import time

import pytest

INTERPD = os.path.abspath("daemon/interpd")
INTERPCTL = os.path.abspath("client/interpctl")
PATIENCE = 60


@pytest.fixture
def directory():
    path = pathlib.Path(tempfile.mkdtemp(prefix="iact", dir="/tmp"))  # short: a socket's path
    yield path
    shutil.rmtree(path)


def ctl(path, *args):
    done = subprocess.run([INTERPCTL, "--address", f"unix:{path}", *args], capture_output=True, text=True,
                          timeout=PATIENCE)
    assert done.returncode == 0, (args, done)
    return done.stdout


def test_systemd_socket_activate_starts_it(directory):
    path = directory / "a.sock"
    with subprocess.Popen(["systemd-socket-activate", "--listen", path, "--setenv=HOME", INTERPD],
                          stderr=subprocess.PIPE, text=True) as activate:
        while not path.exists():
            assert activate.poll() is None, activate.stderr.read()
        ctl(path, "create", "one")
        seen = "import os; print([k for k in os.environ if k.startswith('LISTEN')])"
        assert ctl(path, "exec", "one", "-c", seen) == "[]\n"
        activate.terminate()  # the same process by now
        assert activate.wait(PATIENCE) == 0
        assert path.exists()  # whoever made it owns it
        assert f"ready unix:{path}\n" in activate.stderr.read()


def test_a_tcp_socket_is_refused(directory):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with subprocess.Popen(["systemd-socket-activate", "--listen", f"127.0.0.1:{port}", "--now", INTERPD],
                          stderr=subprocess.PIPE, text=True) as activate:
        assert activate.wait(PATIENCE) == 1
        assert "no listening unix stream socket" in activate.stderr.read()


class Parent:
    """Holds the socket, as systemd does, and starts daemons behind it."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(path))
        self.socket.listen(4096)

    def start(self):
        fd = fcntl.fcntl(self.socket.fileno(), fcntl.F_DUPFD, 10)
        # A shell, which knows the number of the process that it becomes; and puts the socket where systemd would.
        daemon = subprocess.Popen(
            ["bash", "-c", f'LISTEN_FDS=1 LISTEN_PID=$$ exec "$0" --grace-period 1 3<&{fd} {fd}<&-', INTERPD],
            pass_fds=[fd], stderr=subprocess.PIPE, text=True)
        os.close(fd)
        for line in daemon.stderr:
            if "ready" in line:
                return daemon
        raise AssertionError("it did not get ready")


def test_a_restart_refuses_no_connection(directory):
    path = directory / "a.sock"
    parent = Parent(path)
    over = threading.Event()
    connected, errors = [], []

    def knock():
        while not over.is_set():
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(PATIENCE)
                try:
                    client.connect(str(path))
                    connected.append(time.monotonic())
                except OSError as error:
                    errors.append(error)
            over.wait(0.001)

    knocking = threading.Thread(target=knock)
    daemon = parent.start()
    knocking.start()
    try:
        for _ in range(3):
            ctl(path, "create", "one")
            before = len(connected)
            daemon.terminate()
            assert daemon.wait(PATIENCE) == 0
            daemon.stderr.close()
            # What waits in the socket is served by the next one.
            waiting = subprocess.Popen([INTERPCTL, "--address", f"unix:{path}", "list", "-q"], stdout=subprocess.PIPE,
                                       text=True)
            daemon = parent.start()
            assert waiting.communicate(timeout=PATIENCE)[0] == "" and waiting.returncode == 0
            assert len(connected) > before
    finally:
        over.set()
        knocking.join()
        daemon.terminate()
        daemon.wait(PATIENCE)
        daemon.stderr.close()
    assert not errors
