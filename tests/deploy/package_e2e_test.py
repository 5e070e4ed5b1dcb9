"""The Debian package on a clean forky machine with systemd as its first process: installed, started, killed, wedged,
reloaded, upgraded while clients come and go, removed, purged.

Making the machine takes a Debian mirror, and booting it root. Where there is neither, the test says so; only outside of
continuous integration (INTERPD_CI) does that count as skipped.
"""

import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import threading
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "daemon"))

import machine as machines  # noqa: E402
from ptrace import Stopped, threads  # noqa: E402

DEB = pathlib.Path("deploy/interpd.deb").resolve()
PORTABLE = pathlib.Path("deploy/interpd-portable.tar.gz").resolve()
SOCKET = "/run/interpd/interpd.sock"


@pytest.fixture(scope="module")
def shared():
    directory = machines.scratch()
    (directory / "shared").mkdir()
    shutil.copy(DEB, directory / "shared" / "interpd.deb")
    yield directory / "shared"
    machines.remove(directory)


@pytest.fixture(scope="module")
def machine(shared):
    try:
        machine = machines.Machine(machines.make_root(shared.parent), shared)
    except machines.NotHere as why:
        if "INTERPD_CI" in os.environ:
            raise
        pytest.skip(str(why))
    yield machine
    machine.stop()


def ctl(machine, *args, **options):
    return machine.run("interpctl", "--address", f"unix:{SOCKET}", *args, **options)


def main_pid(machine):
    return int(machine.show("interpd.service", "MainPID"))


def apt(machine, *args):
    machine.run("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--yes", "-q", *args)


# The tests below are one life, in order.

def test_install_starts_it(machine):
    apt(machine, "update")
    apt(machine, "install", "/shared/interpd.deb")
    machine.wait("interpd.service", "ActiveState", "active")
    assert machine.show("interpd.socket", "ActiveState") == "active"
    for unit in ("interpd.service", "interpd.socket"):
        assert machine.run("systemctl", "is-enabled", unit).stdout.strip() == "enabled"
    assert machine.run("dpkg", "--verify", "interpd").stdout == ""
    assert machine.run("stat", "-c", "%U:%G %a", SOCKET).stdout == "interpd:interpd 660\n"
    assert machine.run("stat", "-c", "%U:%G %a", "/var/lib/interpd").stdout == "interpd:interpd 700\n"
    assert "ready" in machine.journal("interpd.service")


def test_everything_works_inside_the_fence(machine):
    """What the hardening of the unit could break."""
    ctl(machine, "create", "one")
    assert ctl(machine, "exec", "one", "-c", "print(6 * 7)").stdout == "42\n"
    code = """
import asyncio, ctypes, os, pathlib, socket, sqlite3, ssl, subprocess, tempfile, threading
assert os.getuid() != 0
assert subprocess.run(["/bin/echo", "child"], capture_output=True, text=True).stdout == "child\\n"
with tempfile.TemporaryDirectory() as there:
    os.chdir(there)
    pathlib.Path("a").write_text("x")
pathlib.Path("/var/lib/interpd/a").write_text("x")
a, b = socket.socketpair(); a.send(b"x"); assert b.recv(1) == b"x"
server = socket.create_server(("127.0.0.1", 0))
socket.create_connection(server.getsockname()).close()
callback = ctypes.CFUNCTYPE(ctypes.c_int)(lambda: 7)   # writes and executes memory
assert callback() == 7
thread = threading.Thread(target=lambda: None); thread.start(); thread.join()
asyncio.run(asyncio.sleep(0))
sqlite3.connect(":memory:").execute("select 1")
for path in ("/etc/a", "/usr/a", "/home/a", "/boot/a"):
    try: pathlib.Path(path).write_text("x")
    except OSError: pass
    else: raise AssertionError(path)
print("all")
"""
    assert ctl(machine, "exec", "one", "-c", code).stdout == "all\n"
    # An interrupt reaches code that is blocked in a system call: the change to CPython's instructions was allowed.
    blocked = machine.start("interpctl", "--address", f"unix:{SOCKET}", "exec", "one", "-c",
                            "import time\nprint(1, flush=True)\ntime.sleep(1000)",
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert blocked.stdout.readline() == "1\n"
    ctl(machine, "interrupt", "one")
    assert "KeyboardInterrupt" in blocked.communicate(timeout=60)[1]
    ctl(machine, "constant", "put", "price", "-", "--as", "json", stdin='{"tea": 3}')
    assert ctl(machine, "exec", "one", "-c", "import interpd; print(interpd.constants['price']['tea'])").stdout == "3\n"
    ctl(machine, "create", "--count", "300", "many")
    ctl(machine, "close", "--all")


def test_who_is_no_member_of_the_group_is_refused(machine):
    command = ["interpctl", "--address", f"unix:{SOCKET}", "--connect-timeout", "1s", "info"]
    stranger = machine.run("setpriv", "--reuid=1000", "--regid=1000", "--clear-groups", *command, code=None)
    assert stranger.returncode != 0 and "ermission denied" in stranger.stderr
    machine.run(*command)


def test_status_is_shown(machine):
    assert re.search(r"Status: \"\d+ interpreters", machine.run("systemctl", "status", "interpd").stdout)


def test_priorities_reach_the_journal(machine):
    machine.run("systemctl", "kill", "--kill-whom=main", "--signal=USR1", "interpd")
    deadline = time.monotonic() + machines.PATIENCE
    while "SIGUSR1" not in machine.journal("interpd.service"):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    entries = [json.loads(line) for line in machine.journal("interpd.service", "-o", "json").splitlines()]
    assert {entry["PRIORITY"] for entry in entries if "SIGUSR1" in entry["MESSAGE"]} == {"6"}
    assert not any(entry["MESSAGE"].startswith("<") for entry in entries)


def test_reload(machine):
    pid = main_pid(machine)
    machine.run("sed", "-i", "s/^#max_interpreters = .*/max_interpreters = 5/", "/etc/interpd/interpd.conf")
    machine.run("systemctl", "reload", "interpd")
    assert json.loads(ctl(machine, "-o", "json", "info").stdout)["limits"]["max_interpreters"] == "5"
    assert main_pid(machine) == pid
    machine.run("sed", "-i", "s/^max_interpreters = .*/max_interpreters = 300/", "/etc/interpd/interpd.conf")


def test_a_killed_daemon_is_started_anew(machine):
    pid = main_pid(machine)
    machine.run("systemctl", "kill", "--kill-whom=main", "--signal=KILL", "interpd")
    ctl(machine, "info")  # waits in the socket until there is one
    assert main_pid(machine) not in (0, pid)
    assert machine.show("interpd.service", "NRestarts") == "1"


def test_one_that_crashes_again_and_again_is_not_given_up(machine):
    for _ in range(6):
        pid = main_pid(machine)
        machine.run("systemctl", "kill", "--kill-whom=main", "--signal=KILL", "interpd")
        ctl(machine, "--connect-timeout", "60s", "info")  # it waits longer each time
        assert main_pid(machine) not in (0, pid)
    assert machine.show("interpd.socket", "ActiveState") == "active"
    machine.run("systemctl", "restart", "interpd")


def test_a_wrong_configuration_is_told_once(machine):
    machine.run("sed", "-i", "1i nonsense = 1", "/etc/interpd/interpd.conf")
    machine.run("systemctl", "restart", "interpd", code=1)
    assert machine.show("interpd.service", "NRestarts") == "0"
    assert "nonsense" in machine.journal("interpd.service", "-n", "20")
    machine.run("sed", "-i", "1d", "/etc/interpd/interpd.conf")
    machine.run("systemctl", "restart", "interpd")


def test_a_wedged_daemon_is_started_anew(machine):
    machine.run("mkdir", "-p", "/run/systemd/system/interpd.service.d")
    machine.run("tee", "/run/systemd/system/interpd.service.d/fast.conf", stdin="[Service]\nWatchdogSec=2\n")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", "interpd")
    pid = main_pid(machine)
    time.sleep(5)  # it is fed: with a watchdog of 2 s it would not live so long
    assert main_pid(machine) == pid
    with Stopped(threads(machine.host_pid(pid), "interpd-poll")[0]) as poller:
        deadline = time.monotonic() + machines.PATIENCE
        while not poller.reap() or main_pid(machine) in (0, pid):
            assert time.monotonic() < deadline
            time.sleep(0.1)
    assert "Watchdog timeout" in machine.said()
    ctl(machine, "info")
    machine.run("rm", "-r", "/run/systemd/system/interpd.service.d")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", "interpd")


def test_the_socket_starts_it(machine):
    machine.run("systemctl", "stop", "interpd.service")
    assert machine.show("interpd.service", "ActiveState") == "inactive"
    assert machine.show("interpd.socket", "ActiveState") == "active"
    ctl(machine, "info")
    assert machine.show("interpd.service", "ActiveState") == "active"


def test_stopping_drains(machine):
    ctl(machine, "create", "one")
    busy = machine.start("interpctl", "--address", f"unix:{SOCKET}", "exec", "one", "-c",
                         "import time\nprint(1, flush=True)\ntime.sleep(3)\nprint(2)",
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert busy.stdout.readline() == "1\n"
    machine.run("systemctl", "stop", "interpd.socket", "interpd.service")
    assert busy.communicate(timeout=60)[0] == "2\n"
    assert machine.show("interpd.service", "Result") == "success"
    machine.run("systemctl", "start", "interpd.socket", "interpd.service")


class Knocking:
    """Connects to the socket again and again, from outside of the machine; what went wrong."""

    def __init__(self, machine):
        self.path = f"/proc/{machine.init}/root{SOCKET}"
        self.count = 0
        self.errors = []
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._knock)
        self.thread.start()

    def _knock(self):
        while not self.over.wait(0.002):
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(machines.PATIENCE)
                try:
                    client.connect(self.path)
                    self.count += 1
                except OSError as error:
                    self.errors.append(error)

    def stop(self):
        self.over.set()
        self.thread.join()


def test_an_upgrade_drops_no_connection_attempt(machine, shared):
    newer(machine, shared, "9.0.0")
    pid = main_pid(machine)
    knocking = Knocking(machine)
    apt(machine, "install", "/shared/newer.deb")
    machine.wait("interpd.service", "ActiveState", "active")
    ctl(machine, "info")
    knocking.stop()
    assert main_pid(machine) not in (0, pid)
    assert knocking.count > 100 and not knocking.errors, knocking.errors
    assert "9.0.0" in machine.run("dpkg-query", "-W", "interpd").stdout
    # What the administrator has changed stays.
    assert "\nmax_interpreters = 300\n" in machine.run("cat", "/etc/interpd/interpd.conf").stdout


def newer(machine, shared, version):
    """The same package with a higher version."""
    tree = shared / "newer"
    subprocess.run(["dpkg-deb", "--raw-extract", DEB, tree], check=True)
    control = tree / "DEBIAN/control"
    control.write_text(re.sub(r"(?m)^Version: .*$", f"Version: {version}", control.read_text()))
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Znone", "--build", tree, shared / "newer.deb"], check=True,
                   stdout=subprocess.DEVNULL)


def test_remove_leaves_configuration_and_state(machine):
    apt(machine, "remove", "interpd")
    assert main_pid(machine) == 0
    machine.run("test", "!", "-e", SOCKET)
    machine.run("test", "!", "-e", "/usr/bin/interpd")
    machine.run("test", "-e", "/etc/interpd/interpd.conf")
    machine.run("test", "-d", "/var/lib/interpd")


def test_purge_leaves_nothing(machine):
    apt(machine, "purge", "interpd")
    for path in ("/etc/interpd", "/var/lib/interpd", "/run/interpd"):
        machine.run("test", "!", "-e", path)
    left = machine.run("find", "/etc", "/usr", "/var/lib/systemd", "-name", "*interpd*", "-o", "-name",
                       "*interpctl*").stdout
    assert left == ""


def test_it_can_be_installed_again(machine):
    apt(machine, "install", "/shared/interpd.deb")
    ctl(machine, "info")
    apt(machine, "purge", "interpd")


def test_the_portable_service(machine, shared):
    """Where the package is not: from the image's tree, as deploy/README.md has it."""
    tree = "/var/lib/portables/interpd"
    shutil.copy(PORTABLE, shared / "portable.tar.gz")
    apt(machine, "install", "systemd-container")
    machine.run("mkdir", "-p", tree)
    machine.run("tar", "-xzf", "/shared/portable.tar.gz", "-C", tree)
    machine.run("systemd-sysusers", "--inline", "u interpd -")
    machine.run("mkdir", "-p", "/etc/systemd/portable/profile")
    machine.run("cp", "-r", f"{tree}/usr/lib/systemd/portable/profile/interpd", "/etc/systemd/portable/profile")
    machine.run("portablectl", "attach", "--now", "--profile=interpd", "interpd")
    machine.wait("interpd.service", "ActiveState", "active")

    def ctl(*args):
        return machine.run("systemd-run", "--quiet", "--wait", "--pipe", f"--property=RootDirectory={tree}",
                           "--property=BindPaths=/run/interpd", "--property=MountAPIVFS=yes", "/usr/bin/interpctl",
                           "--address", f"unix:{SOCKET}", *args).stdout

    ctl("create", "one")
    assert ctl("exec", "one", "-c", "print(6 * 7)") == "42\n"
    ctl("job", "list")
    assert "will not reach" not in machine.journal("interpd.service")
    machine.run("portablectl", "detach", "--now", "interpd")
    assert main_pid(machine) == 0
