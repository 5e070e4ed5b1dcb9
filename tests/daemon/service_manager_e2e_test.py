"""The daemon under a service manager: what it says on a real notification socket, and when it falls silent."""

import ctypes
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from ptrace import Stopped, threads  # noqa: E402

INTERPD = os.path.abspath("daemon/interpd")
INTERPCTL = os.path.abspath("client/interpctl")
PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN = 65, 1
PATIENCE = 60  # for what must happen, on a busy machine too


@pytest.fixture
def directory():
    path = pathlib.Path(tempfile.mkdtemp(prefix="isvc", dir="/tmp"))  # short: a socket's path
    yield path
    shutil.rmtree(path)


class Managed:
    """A daemon, and the socket on which a service manager would listen to it."""

    def __init__(self, directory, *args, watchdog=None, config="", preexec=None):
        self.address = f"unix:{directory}/d.sock"
        self.config = directory / "interpd.conf"
        self.config.write_text(config)
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(str(directory / "notify"))
        self.notify.settimeout(PATIENCE)
        self.log = directory / "log"
        environment = {**os.environ, "NOTIFY_SOCKET": str(directory / "notify"), "INTERPD_ADDRESS": self.address}
        self.environment = dict(environment)
        if watchdog:
            environment["WATCHDOG_USEC"] = str(int(watchdog * 1e6))
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [INTERPD, "--config", self.config, "--listen", self.address, *args], env=environment, stderr=log,
                preexec_fn=preexec)

    def next(self):
        """The next message, as a dict."""
        return dict(line.split("=", 1) for line in self.notify.recv(65536).decode().splitlines())

    def until(self, key, value=None):
        """Reads messages up to the first that has the key; what it had."""
        while True:
            message = self.next()
            if key in message and value in (None, message[key]):
                return message

    def silent_for(self, key, seconds):
        """Whether no message with that key comes for so long."""
        deadline = time.monotonic() + seconds
        try:
            while (left := deadline - time.monotonic()) > 0:
                self.notify.settimeout(left)
                if key in self.next():
                    return False
        except TimeoutError:
            pass
        finally:
            self.notify.settimeout(PATIENCE)
        return True

    def drop_messages(self):
        self.notify.setblocking(False)
        try:
            while True:
                self.notify.recv(65536)
        except BlockingIOError:
            self.notify.settimeout(PATIENCE)

    def ctl(self, *args, code=0):
        done = subprocess.run([INTERPCTL, *args], env=self.environment, capture_output=True, text=True,
                              timeout=PATIENCE)
        assert done.returncode == code, (args, done, self.log.read_text())
        return done.stdout

    def logged(self, pattern):
        deadline = time.monotonic() + PATIENCE
        while not re.search(pattern, self.log.read_text()):
            assert time.monotonic() < deadline, (pattern, self.log.read_text())
            time.sleep(0.01)

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        code = self.process.wait(PATIENCE)
        self.notify.close()
        return code


@pytest.fixture
def start(directory):
    started = []

    def start(*args, **options):
        started.append(Managed(directory, *args, **options))
        return started[-1]

    yield start
    for managed in started:
        assert managed.stop() == 0, managed.log.read_text()


def test_ready_comes_when_clients_are_served(start):
    managed = start()
    message = managed.until("READY")
    assert message["READY"] == "1" and message["STATUS"] == "0 interpreters, 0 pieces of work pending"
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(managed.address.removeprefix("unix:"))
    managed.ctl("info")


def test_status_says_what_goes_on(start):
    managed = start()
    managed.until("READY")
    managed.ctl("create", "--count", "2")
    assert managed.until("STATUS")["STATUS"] == "2 interpreters, 0 pieces of work pending"


def test_stopping_asks_for_more_time_while_work_goes_on(start):
    managed = start("--grace-period", "12")
    managed.until("READY")
    managed.ctl("create", "one")
    with subprocess.Popen([INTERPCTL, "exec", "one", "-c", "print(1, flush=True)\nwhile True: pass"],
                          env=managed.environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as busy:
        assert busy.stdout.readline() == b"1\n"
        managed.process.terminate()
        assert managed.until("STOPPING")["STATUS"].startswith("draining: 1 interpreters, 1 pieces of work pending")
        asked = [int(managed.until("EXTEND_TIMEOUT_USEC")["EXTEND_TIMEOUT_USEC"]) for _ in range(3)]
        assert min(asked) >= 10_000_000  # twice the pause between two of them
    assert managed.process.wait(PATIENCE) == 0


def test_a_drain_by_rpc_is_told_too(start):
    managed = start()
    managed.until("READY")
    managed.ctl("drain")
    managed.until("STOPPING")
    assert managed.process.wait(PATIENCE) == 0


def test_hosted_code_sees_nothing_of_the_service_manager_and_cannot_silence_the_daemon(start):
    managed = start(watchdog=1)
    managed.until("READY")
    managed.ctl("create", "one")
    seen = managed.ctl("exec", "one", "-c", """
import os
print([key for key in os.environ if key.startswith(("NOTIFY", "WATCHDOG", "LISTEN_"))])
os.environ.clear()
""")
    assert seen == "[]\n"
    managed.drop_messages()
    for _ in range(4):
        managed.until("WATCHDOG")


# ---- reload ----------------------------------------------------------------------------------------------------------

def reload(managed):
    managed.process.send_signal(signal.SIGHUP)
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    message = managed.until("RELOADING")
    assert message["RELOADING"] == "1" and abs(int(message["MONOTONIC_USEC"]) - before) < PATIENCE * 1e6
    return managed.until("READY")


def test_a_reload_applies_what_it_can_and_names_the_rest(start):
    managed = start(config="max_interpreters = 1\n")
    managed.until("READY")
    managed.ctl("create", "one")
    managed.ctl("create", "two", code=5)
    managed.config.write_text("""
max_interpreters = 2
max_message_bytes = 8192
grace_period_seconds = 3
[interpreter]
queue_limit = 7
""")
    reload(managed)
    managed.logged("reloaded: grace_period_seconds, max_interpreters, interpreter.queue_limit\n")
    managed.logged("reloaded: max_message_bytes takes effect at the next restart\n")
    managed.ctl("create", "two")
    assert json.loads(managed.ctl("-o", "json", "get", "two"))["config"]["queue_limit"] == 7
    assert json.loads(managed.ctl("-o", "json", "info"))["limits"]["max_interpreters"] == "2"
    managed.process.terminate()
    assert "grace period 3s" in managed.until("STOPPING")["STATUS"]


def test_a_reload_reaches_the_interpreters_of_jobs(start, directory):
    managed = start("--state-dir", str(directory / "state"))
    managed.until("READY")
    script = directory / "script.py"
    script.write_text("import sys\nassert '/of/the/file' in sys.path, sys.path\n")
    managed.ctl("job", "run", script, code=1)
    managed.config.write_text("[interpreter]\npath = ['/of/the/file']\n")
    reload(managed)
    managed.ctl("job", "run", script)


def test_flags_stay_above_the_file_at_a_reload(start):
    managed = start("--max-interpreters", "5", config="")
    managed.until("READY")
    managed.config.write_text("max_interpreters = 9\n")
    reload(managed)
    assert json.loads(managed.ctl("-o", "json", "info"))["limits"]["max_interpreters"] == "5"


def test_a_wrong_file_changes_nothing(start):
    managed = start(config="max_interpreters = 3\n")
    managed.until("READY")
    managed.config.write_text("max_interpreters = 2\nmax_interpretors = 9\n")
    status = reload(managed)["STATUS"]
    assert "the last reload failed" in status and "interpd.conf:2:1" in status
    managed.logged("did you mean 'max_interpreters'")
    assert json.loads(managed.ctl("-o", "json", "info"))["limits"]["max_interpreters"] == "3"
    managed.config.write_text("max_interpreters = 2\n")
    assert "failed" not in reload(managed)["STATUS"]
    assert json.loads(managed.ctl("-o", "json", "info"))["limits"]["max_interpreters"] == "2"


def test_under_nohup_hanging_up_stays_ignored(start):
    managed = start(preexec=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    managed.until("READY")
    managed.process.send_signal(signal.SIGHUP)
    managed.process.send_signal(signal.SIGUSR1)
    managed.logged("SIGUSR1: 0 interpreters")
    assert managed.silent_for("RELOADING", 0.2)


# ---- watchdog --------------------------------------------------------------------------------------------------------

def test_without_a_watchdog_nothing_is_fed_and_no_interpreter_is_made(start):
    managed = start()
    managed.until("READY")
    assert managed.silent_for("WATCHDOG", 1)
    assert threads(managed.process.pid, "py:-heartbeat") == []


def test_the_heartbeat_is_nobody_else_s(start):
    managed = start("--max-interpreters", "1", watchdog=1)
    managed.until("READY")
    managed.until("WATCHDOG")
    assert managed.ctl("list", "-q") == ""
    info = json.loads(managed.ctl("-o", "json", "info"))
    assert int(info.get("interpreter_count", 0)) == 0 and int(info.get("completed_count", 0)) == 0
    managed.ctl("create", "one")
    managed.ctl("close", "--all")
    managed.drop_messages()
    managed.until("WATCHDOG")


def test_it_is_fed_twice_as_often_as_it_wants(start):
    managed = start(watchdog=1)
    managed.until("READY")
    managed.until("WATCHDOG")
    begin = time.monotonic()
    for _ in range(6):
        managed.until("WATCHDOG")
    assert 2.5 < time.monotonic() - begin < 6  # 3 s, and what a busy machine takes


@pytest.mark.parametrize("name", ["interpd-poll", "py:-heartbeat", "interpd"])
def test_a_wedged_daemon_feeds_nothing(start, name):
    """The poller of gRPC, an interpreter's thread and the main thread, each stopped as by a fault of its own."""
    managed = start(watchdog=1)
    managed.until("READY")
    managed.until("WATCHDOG")
    # The main thread's name is the process's.
    tid = managed.process.pid if name == "interpd" else threads(managed.process.pid, name)[0]
    with Stopped(tid):
        managed.drop_messages()
        managed.silent_for("WATCHDOG", 0.5)  # one trip may have been on its way back
        assert managed.silent_for("WATCHDOG", 3)
    managed.until("WATCHDOG")  # not for good: it was but stopped


def test_where_code_may_not_change_it_serves_all_the_same(start):
    """As under MemoryDenyWriteExecute=yes."""
    def refuse():
        assert ctypes.CDLL(None).prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) == 0

    managed = start(preexec=refuse)
    managed.until("READY")
    managed.logged("Interrupts will not reach hosted code")
    managed.ctl("create", "one")
    assert managed.ctl("exec", "one", "-c", "print(6 * 7)") == "42\n"


def test_a_busy_daemon_is_not_wedged(start):
    managed = start(watchdog=2)
    managed.until("READY")
    managed.ctl("create", "--count", "8", "w")
    crowd = [subprocess.Popen([INTERPCTL, "exec", f"w-{i}", "-c", "print(1, flush=True)\nwhile True: pass"],
                              env=managed.environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
             for i in range(1, 9)]
    for one in crowd:
        assert one.stdout.readline() == b"1\n"
    managed.drop_messages()
    begin = time.monotonic()
    for _ in range(3):
        managed.until("WATCHDOG")
    assert time.monotonic() - begin < 3 * 2
    for one in crowd:
        one.terminate()
    for one in crowd:
        one.communicate(timeout=PATIENCE)
