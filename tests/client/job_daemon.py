"""A daemon that runs jobs, and is killed and started again, as tests of `interpctl job` use it."""

import pytest

from interpctl import Ctl, Daemon, directory  # noqa: F401


@pytest.fixture(scope="module")
def daemons(directory):  # noqa: F811
    """Starts a daemon, again and again on the same state. The first one runs."""

    class Daemons:
        def start(self):
            self.now = Daemon(directory, "--state-dir", str(directory / "state"), "--jobs-parallel", "4")
            return self.now

        def kill(self):
            self.now.process.kill()
            self.now.process.wait()

    daemons = Daemons()
    daemons.start()
    yield daemons
    assert daemons.now.stop() == 0, "".join(daemons.now.log)


@pytest.fixture
def ctl(daemons):
    """Leaves no job unfinished."""
    ctl = Ctl(daemons.now.address)
    yield ctl
    unfinished = [f"--state={state}" for state in ("scheduled", "waiting", "queued", "running")]
    for job in ctl("job", "list", "-q", *unfinished).stdout.split():
        ctl("job", "cancel", job)


def script(tmp_path, text, name="script.py"):
    path = tmp_path / name
    path.write_text(text)
    return path
