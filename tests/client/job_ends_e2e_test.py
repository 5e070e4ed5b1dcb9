"""interpctl job when not all goes well: signals, deadlines, a daemon that goes, odd characters."""

import json
import os
import pathlib
import signal
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from interpctl import INTERPCTL, PATIENCE, directory  # noqa: E402, F401
from job_daemon import ctl, daemons, script  # noqa: E402, F401


def newest(ctl):
    return ctl.json("job", "list", "--limit", 1)[0]


SLEEPS = "import time\nprint('begun', flush=True)\ntime.sleep(600)\n"
DOUBLE = "def task(item): return item * 2\n"


# ---- job run is left ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_who_ends_run_ends_its_job(ctl, tmp_path, number):
    running = ctl.start("job", "run", script(tmp_path, SLEEPS))
    assert running.stdout.readline() == "begun\n"
    running.send_signal(number)
    assert running.wait(PATIENCE) == 128 + number
    job = newest(ctl)
    assert job["state"] == "CANCELLED"
    assert running.stderr.read() == f"interpctl: job {job['name'].removeprefix('jobs/')}: cancelled\n"


def test_the_deadline_of_run_ends_its_job(ctl, tmp_path):
    done = ctl("--timeout", 3, "job", "run", script(tmp_path, SLEEPS), code=6)
    assert done.stdout == "begun\n"
    assert newest(ctl)["state"] == "CANCELLED"
    assert ": cancelled\n" in done.stderr


def test_a_job_that_goes_on_says_how_to_come_back_to_it(daemons, ctl, tmp_path):
    running = ctl.start("job", "run", script(tmp_path, SLEEPS))
    assert running.stdout.readline() == "begun\n"
    job = newest(ctl)["name"].removeprefix("jobs/")
    daemons.kill()
    try:
        assert "the daemon went away" in running.stderr.readline()
        running.send_signal(signal.SIGINT)
        assert running.wait(PATIENCE) == 130
        said = running.stderr.read()
        assert f"job {job} was not cancelled: " in said
        assert said.endswith(f"interpctl: job {job} goes on; to wait for it: interpctl job wait {job}\n")
    finally:
        daemons.start()
    assert ctl.json("job", "get", job)["state"] in ("QUEUED", "RUNNING")


def test_a_job_that_failed_is_no_success_of_run(ctl, tmp_path):
    ctl("job", "run", script(tmp_path, "import sys\nsys.exit(256)\n"), code=1)
    ctl("job", "run", script(tmp_path, "import sys\nsys.exit(257)\n"), code=1)
    ctl("job", "run", script(tmp_path, "import sys\nsys.exit(0)\n"))


def test_ctrl_c_ends_a_submission_that_reads_inputs_of_many_jobs(ctl, tmp_path):
    """Those of the first job do not come, and those of the second were opened last."""
    for name in ("a", "b"):
        os.mkfifo(tmp_path / name)
        script(tmp_path, f"# /// interpd\n# map = '{name}'\n# ///\n{DOUBLE}", f"{name}.py")
    (tmp_path / "jobs.yaml").write_text("jobs:\n- script_file: a.py\n- script_file: b.py\n")
    submitting = ctl.start("job", "submit", "-f", tmp_path / "jobs.yaml")
    writers = [open(tmp_path / name, "w") for name in ("a", "b")]  # each waits for its reader
    submitting.send_signal(signal.SIGINT)
    assert submitting.wait(PATIENCE) == 130, submitting.stderr.read()
    for writer in writers:
        writer.close()


# ---- Documents ------------------------------------------------------------------------------------------------------


def test_json_is_one_document(ctl, tmp_path):
    path = script(tmp_path, "import sys\nprint('out')\nprint('err', file=sys.stderr)\n")
    done = ctl("-o", "json", "job", "run", path)
    assert json.loads(done.stdout)["state"] == "SUCCEEDED"
    assert sorted(done.stderr.splitlines()) == ["err", "out"]
    done = ctl("-o", "json", "job", "submit", "--watch", path)
    job = json.loads(done.stdout)
    assert job["state"] == "SUCCEEDED"
    assert done.stderr.startswith(f"interpctl: submitted {job['name'].removeprefix('jobs/')}\n")


def test_logs_as_documents_outlive_the_daemon(daemons, ctl, tmp_path):
    gate = tmp_path / "gate"
    path = script(tmp_path, f"""
import os, time
def task(item):
    print("item", item, flush=True)
    while item == 1 and not os.path.exists({str(gate)!r}):
        time.sleep(0.01)
""")
    job = ctl("job", "submit", "--range", "0:3", path).stdout.strip()
    following = ctl.start("-o", "json", "job", "logs", "-f", job)
    entries = [json.loads(following.stdout.readline()) for _ in range(2)]
    daemons.kill()
    daemons.start()
    gate.touch()
    entries += [json.loads(line) for line in following.stdout]
    assert following.wait(PATIENCE) == 0, following.stderr.read()
    # Each output once; the task that was cut off has run again.
    assert [entry["task_index"] for entry in entries] == ["0", "1", "1", "2"]
    assert [entry["attempt"] for entry in entries[:3]] == [1, 1, 2]


# ---- What is refused, and what is escaped ---------------------------------------------------------------------------


def test_an_error_of_the_daemon_names_the_job_of_the_file(ctl, tmp_path):
    (tmp_path / "jobs.yaml").write_text(
        "jobs:\n- {key: b, script: pass, after: a, retries: 5000}\n- {key: a, script: pass}\n")
    done = ctl("job", "submit", "-f", tmp_path / "jobs.yaml", code=2)
    assert done.stderr.startswith(f"interpctl: {tmp_path}/jobs.yaml:2:3: jobs[0].retries must be "), done.stderr


def test_standard_input_is_either_the_script_or_its_inputs(ctl, tmp_path):
    done = ctl("job", "submit", "--map", "-", "-", stdin=DOUBLE, code=2)
    assert "standard input is read once: it is the script already" in done.stderr
    script(tmp_path, f"# /// interpd\n# map = '-'\n# ///\n{DOUBLE}")
    done = ctl("job", "submit", "-f", "-", cwd=tmp_path, stdin="script_file: script.py\n", code=2)
    assert "it is the job file already" in done.stderr


def test_a_script_may_begin_with_a_byte_order_mark(ctl, tmp_path):
    done = ctl("job", "run", script(tmp_path, "\ufeff# /// interpd\n# range = '0:2'\n# ///\ndef task(i): print('x')\n"))
    assert sorted(done.stdout.splitlines()) == ["[task 0] x", "[task 1] x"]


def test_what_is_no_utf8_is_named(ctl, tmp_path):
    path = script(tmp_path, "pass\n")

    def refused(*args):
        done = subprocess.run([INTERPCTL, "job", "submit", *args], env=ctl.environment, capture_output=True, text=True,
                              timeout=PATIENCE)
        assert done.returncode == 2
        return done.stderr

    assert refused(path, "a", b"caf\xe9") == "interpctl: argument 2 is no UTF-8: caf\\xe9\n"
    assert "the name is no UTF-8" in refused("--name", b"\xff", path)
    (tmp_path / "latin1.py").write_bytes(b"# caf\xe9\n")
    (tmp_path / "jobs.yaml").write_text("jobs:\n- script: pass\n- script_file: latin1.py\n")
    assert "jobs.yaml:3:3: jobs[1]: the script is no UTF-8" in refused("-f", tmp_path / "jobs.yaml")


def test_names_are_no_orders_to_a_terminal(ctl, tmp_path):
    path = script(tmp_path, "raise ValueError('\\x1b[2J')\n")
    job = ctl("job", "submit", "--name", "\x1b[2J", path, "\x1b[3J").stdout.strip()
    shown = ctl("job", "wait", job, code=1).stderr
    for command in ("list", "get", "results"):
        shown += ctl("job", command, *([] if command == "list" else [job])).stdout
    assert "\x1b" not in shown and shown.count("\\x1b[2J") >= 4 and "\\x1b[3J" in shown, shown
