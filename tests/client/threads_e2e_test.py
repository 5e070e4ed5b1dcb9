"""A daemon that can have no more threads: who wants one is refused, and all others go on."""

import os
import resource
import shutil
import subprocess

import interpctl
from interpctl import Ctl, Daemon, directory  # noqa: F401
import pytest

USER = 54_321  # whose threads are nobody else's
THREADS = 60


@pytest.fixture
def daemon(directory, monkeypatch):  # noqa: F811
    if os.geteuid() != 0:
        pytest.skip("a limit for another user takes root")
    os.chown(directory, USER, USER)

    def limited():
        os.setgroups([])
        os.setgid(USER)
        os.setuid(USER)
        resource.setrlimit(resource.RLIMIT_NPROC, (THREADS, THREADS))

    popen = subprocess.Popen
    with monkeypatch.context() as patch:
        # Where that user may go.
        patch.setattr(interpctl, "INTERPD", shutil.copy(interpctl.INTERPD, directory / "interpd"))
        patch.setattr(interpctl.subprocess, "Popen", lambda *args, **options: popen(
            *args, preexec_fn=limited, **options))
        daemon = Daemon(directory, "--state-dir", str(directory / "state"))
    yield daemon
    assert daemon.stop() == 0


def test_it_goes_on(daemon, directory):  # noqa: F811
    ctl = Ctl(daemon.address)
    ctl("create", "first")
    made = 0
    while True:
        done = subprocess.run([interpctl.INTERPCTL, "--address", daemon.address, "create", f"i{made}"],
                              capture_output=True, text=True)
        if done.returncode != 0:
            break
        made += 1
        assert made < THREADS
    assert "no thread" in done.stderr and "TasksMax=" in done.stderr, done.stderr
    assert ctl("exec", "first", "-c", "print(6 * 7)").stdout == "42\n"
    # A job waits for its turn, and a constant, which a thread of the daemon's own builds, is put.
    job = ctl("job", "submit", "-", stdin="print('done')", cwd=directory).stdout.strip()
    ctl("constant", "put", "price", "-", "--as", "json", stdin='{"tea": 3}')
    ctl("close", "i0", "i1", "i2")
    ctl("job", "wait", job)
    ctl("create", "i0")
