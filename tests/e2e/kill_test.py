"""Jobs while their daemon is killed, again and again, at random moments.

Submitters send jobs of all kinds, and repeat with the same request id what was not answered. A killer ends the daemon
by SIGKILL and starts it again on the same state. Once it stops, every job that was accepted must come to the one end
that it must come to, with each result once and right; no job may be there twice; and what tasks have done outside must
have been done at least once for each key.

KILL_TEST_SEED repeats a run's choices (it is printed), KILL_TEST_KILLS sets the number of kills.
"""

import collections
import json
import os
import pathlib
import random
import shutil
import subprocess
import tempfile
import threading
import time

import pytest

INTERPD = os.path.abspath("daemon/interpd")
INTERPCTL = os.path.abspath("client/interpctl")
SEED = int(os.environ.get("KILL_TEST_SEED", time.time_ns() % 1_000_000))
KILLS = int(os.environ.get("KILL_TEST_KILLS", 22))
SUBMITTERS = 3
# For what must happen, on a busy machine too.
PATIENCE = 120

# What each attempt that comes to its end leaves outside of the daemon: one write, so no line is ever half there.
PRELUDE = """
import os, time, interpd
def leave_mark():
    fd = os.open("EFFECTS", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, f"{interpd.task.key} {interpd.task.attempt}\\n".encode())
    os.close(fd)
"""

MAP = PRELUDE + """
def task(item):
    print("item", item, flush=True)
    time.sleep(item % 5 / 100)
    leave_mark()
    return [item, item * item]
"""

# Fails at the first attempt, or whatever came of it.
FLAKY = PRELUDE + """
def task(item):
    time.sleep(0.01)
    mark = f"FLAKY-{interpd.task.key.replace('/', '_')}"
    if item % 3 == 0 and not os.path.exists(mark):
        open(mark, "w").close()
        raise OSError(f"item {item} is not ready")
    leave_mark()
    return -item
"""

PLAIN = PRELUDE + """
import sys
for i in range(10):
    print("line", i, flush=True)
    time.sleep(0.01)
interpd.task.result = {"args": sys.argv[1:]}
leave_mark()
"""

FAILS = PRELUDE + """
print("about to fail", flush=True)
leave_mark()
1 / 0
"""

SLEEPS = "import time\ntime.sleep(600)\n"

# Over the results of MAP: [item, square].
PASSED_ON = PRELUDE + """
def task(item):
    leave_mark()
    return sum(item)
"""


class Daemon:
    """One life of the daemon after the other, on the same state and address."""

    def __init__(self, directory):
        self.address = f"unix:{directory}/d.sock"
        self.command = [INTERPD, "--listen", self.address, "--state-dir", f"{directory}/state", "--jobs-parallel", "4"]
        self.log_path = directory / "log"
        self.lives = 0
        self.start()

    def start(self):
        self.lives += 1
        begin = self.log_path.stat().st_size if self.log_path.exists() else 0
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.command, stderr=log)
        deadline = time.monotonic() + PATIENCE
        while b"interpd: ready" not in self.log_path.read_bytes()[begin:]:
            assert self.process.poll() is None, f"the daemon did not start:\n{self.log()}"
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def kill(self):
        assert self.process.poll() is None, f"the daemon ended by itself:\n{self.log()}"
        self.process.kill()
        self.process.wait()

    def use(self):
        """Resident bytes, and open files."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        rss = int(status.split("VmRSS:")[1].split()[0]) * 1024
        return rss, len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def log(self):
        return self.log_path.read_text(errors="replace")[-10_000:]


class Ctl:
    def __init__(self, address, cwd):
        self.environment = {**os.environ, "INTERPD_ADDRESS": address}
        self.cwd = cwd

    def run(self, *args):
        return subprocess.run([INTERPCTL, *map(str, args)], env=self.environment, cwd=self.cwd, capture_output=True,
                              text=True, timeout=PATIENCE)

    def until_answered(self, *args):
        """Repeats what found no daemon, or one that went away meanwhile."""
        deadline = time.monotonic() + PATIENCE
        while (done := self.run(*args)).returncode == 3:
            assert time.monotonic() < deadline, (args, done)
            time.sleep(0.02)
        return done

    def __call__(self, *args):
        done = self.until_answered(*args)
        assert done.returncode == 0, (args, done)
        return done.stdout

    def results(self, job):
        return [json.loads(line) for line in self("job", "results", job, "-o", "jsonl").splitlines()]


Expected = collections.namedtuple("Expected", "kind state results error log", defaults=(None, None, None))


class Submitter(threading.Thread):
    """Sends jobs of all kinds until it is told to stop, and knows what must become of them."""

    def __init__(self, ctl, directory, number):
        super().__init__()
        self.ctl = ctl
        self.directory = directory
        self.random = random.Random(SEED * 1000 + number)
        self.number = number
        self.count = 0
        self.stopped = threading.Event()
        self.expected = {}
        self.error = None

    def run(self):
        try:
            while not self.stopped.is_set():
                getattr(self, self.random.choice(
                    ["map", "map", "flaky", "plain", "fails", "times_out", "passed_on", "cancelled"]))()
                self.stopped.wait(self.random.uniform(0, 0.3))
        except BaseException as error:  # told in the main thread
            self.error = error

    def submit(self, script, *args):
        """The job's ID. What was not answered is said again, and now and then what was."""
        self.count += 1
        command = ["job", "submit", "--request-id", f"{SEED}-{self.number}-{self.count}", *args]
        command.insert(2, "--backoff=20ms")
        command.append(self.directory / f"{script}.py")
        job = self.ctl(*command).strip()
        if self.random.random() < 0.2:
            assert self.ctl(*command).strip() == job
        return job

    def map(self):
        begin, count = self.random.randrange(1000), self.random.randrange(1, 40)
        job = self.submit("map", "--range", f"{begin}:{begin + count}", "--parallel", self.random.randrange(1, 4))
        items = range(begin, begin + count)
        results, log = [[i, i * i] for i in items], [f"item {i}" for i in items]
        self.expected[job] = Expected("map", "SUCCEEDED", results, log=log)
        return job, items

    def flaky(self):
        count = self.random.randrange(1, 10)
        job = self.submit("flaky", "--range", f"0:{count}", "--retries", 5)
        self.expected[job] = Expected("flaky", "SUCCEEDED", [-i for i in range(count)])

    def plain(self):
        job = self.submit("plain")
        self.expected[job] = Expected("plain", "SUCCEEDED", [{"args": []}], log=[f"line {i}" for i in range(10)])

    def fails(self):
        job = self.submit("fails", "--retries", 1)
        self.expected[job] = Expected("fails", "FAILED", error="ZeroDivisionError: ", log=["about to fail"])

    def times_out(self):
        job = self.submit("sleeps", "--timeout", "0.2")
        self.expected[job] = Expected("times_out", "FAILED", error="")

    def passed_on(self):
        first, items = self.map()
        job = self.submit("passed_on", "--after", first, "--map-results")
        self.expected[job] = Expected("passed_on", "SUCCEEDED", [i + i * i for i in items])

    def cancelled(self):
        job = self.submit("sleeps")
        self.stopped.wait(self.random.uniform(0, 0.3))
        self.ctl("job", "cancel", job)
        self.expected[job] = Expected("cancelled", "CANCELLED", [])


@pytest.fixture
def directory():
    # Not under TEST_TMPDIR: the path of a socket has at most 107 bytes.
    path = pathlib.Path(tempfile.mkdtemp(prefix="ikill", dir="/tmp"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def daemon(directory):
    daemon = Daemon(directory)
    yield daemon
    daemon.process.kill()
    daemon.process.wait()


def test_jobs_outlive_kills(directory, daemon):
    print(f"KILL_TEST_SEED={SEED}")
    for name, text in {"map": MAP, "flaky": FLAKY, "plain": PLAIN, "fails": FAILS, "sleeps": SLEEPS,
                       "passed_on": PASSED_ON}.items():
        text = text.replace("EFFECTS", f"{directory}/effects").replace("FLAKY-", f"{directory}/flaky-")
        (directory / f"{name}.py").write_text(text)
    ctl = Ctl(daemon.address, directory)
    submitters = [Submitter(ctl, directory, number) for number in range(SUBMITTERS)]
    choose = random.Random(SEED)
    for submitter in submitters:
        submitter.start()
    for _ in range(KILLS):
        # Short lives too: what recovery does must survive a kill as well.
        time.sleep(choose.choice([choose.uniform(0, 0.1), choose.uniform(0.2, 2), choose.uniform(1, 4)]))
        daemon.kill()
        daemon.start()
    for submitter in submitters:
        submitter.stopped.set()
    for submitter in submitters:
        submitter.join(PATIENCE)
        assert not submitter.is_alive(), daemon.log()
        if submitter.error:
            raise AssertionError(daemon.log()) from submitter.error
    expected = {job: what for submitter in submitters for job, what in submitter.expected.items()}
    assert len(expected) > KILLS

    # No job is lost, none is there twice, each comes to its end.
    for job in expected:
        assert ctl.until_answered("job", "wait", job, "--timeout", PATIENCE).returncode in (0, 1, 8), daemon.log()
    jobs = json.loads(ctl("-o", "json", "job", "list", "--limit", 0))
    assert sorted(job["name"].removeprefix("jobs/") for job in jobs) == sorted(expected)
    keys = check_ends(ctl, {job["name"].removeprefix("jobs/"): job for job in jobs}, expected)

    marks = collections.Counter(line.split()[0] for line in (directory / "effects").read_text().splitlines())
    missing = keys - set(marks)
    assert not missing, missing
    repeated = sum(1 for key in keys if marks[key] > 1)
    kinds = collections.Counter(what.kind for what in expected.values())
    print(f"{daemon.lives} lives, {len(expected)} jobs, {len(keys)} tasks with marks, {repeated} more than once:",
          ", ".join(f"{count} {kind}" for kind, count in kinds.items()))
    check_growth(daemon, ctl, directory)
    daemon.process.terminate()
    assert daemon.process.wait(PATIENCE) == 0, daemon.log()


def check_ends(ctl, jobs, expected):
    """The keys of all tasks that ran to their end at least once."""
    keys = set()
    for job, what in expected.items():
        assert jobs[job]["state"] == what.state, (job, what, jobs[job])
        tasks = ctl.results(job)
        assert [task["index"] for task in tasks] == list(range(len(tasks))), (job, what, tasks)
        if what.results is not None:
            assert [task.get("result") for task in tasks] == what.results, (job, what)
            assert int(jobs[job]["succeeded_count"]) == len(what.results)
        if what.error is not None:
            (task,) = tasks
            assert task["state"] == "FAILED" and task["error"].startswith(what.error) and task["error"], (job, task)
        if what.log is not None:
            lines = set(ctl("job", "logs", "--no-prefix", job).splitlines())
            assert set(what.log) <= lines, (job, what, lines)
        if what.kind not in ("times_out", "cancelled"):
            keys.update(task["key"] for task in tasks)
    return keys


def check_growth(daemon, ctl, directory):
    """The same jobs once more, wave after wave on one daemon, take no more memory nor files."""
    def wave():
        jobs = [ctl("job", "submit", "--range", "0:50", "--parallel", 2, directory / "map.py").strip(),
                ctl("job", "submit", directory / "plain.py").strip(),
                ctl("job", "submit", "--timeout", "0.1", directory / "sleeps.py").strip()]
        ctl.until_answered("job", "wait", *jobs)
        # Interpreters of ended jobs are closed behind their ends.
        deadline = time.monotonic() + PATIENCE
        while int(json.loads(ctl("-o", "json", "info"))["interpreter_count"]) != 0:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return daemon.use()

    for _ in range(3):  # caches fill
        wave()
    rss_before, fds_before = wave()
    for _ in range(4):
        rss, fds = wave()
    print(f"resident {rss_before >> 20} MiB, then {rss >> 20} MiB; files {fds_before}, then {fds}")
    assert fds <= fds_before, (fds_before, fds)
    assert rss < rss_before + (16 << 20), (rss_before, rss)
