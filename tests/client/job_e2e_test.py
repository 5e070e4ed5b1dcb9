"""interpctl job: the real program against a real daemon that is drained, killed and started again."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from interpctl import INTERPCTL, PATIENCE, Terminal, directory, wait_until  # noqa: E402, F401
from job_daemon import ctl, daemons, script  # noqa: E402, F401

EXAMPLES = pathlib.Path("examples/jobs").resolve()


def submit(ctl, *args, **options):
    """The job's ID, which is all that is printed."""
    out = ctl("job", "submit", *args, **options).stdout
    assert re.fullmatch(r"[a-z0-9]{10}\n", out), out
    return out.strip()


def results(ctl, job, *args):
    return [json.loads(line) for line in ctl("job", "results", job, "-o", "jsonl", *args).stdout.splitlines()]


DOUBLE = "def task(item):\n    print('task', item)\n    return item * 2\n"


# ---- What runs ------------------------------------------------------------------------------------------------------


def test_a_plain_script_runs_once_where_we_are(ctl, tmp_path):
    script(tmp_path, "VALUE = 7\n", "beside.py")
    path = script(tmp_path, """
import os, sys, beside, interpd
print(__name__, sys.argv[1:], os.getcwd(), beside.VALUE)
print("to stderr", file=sys.stderr)
interpd.task.result = [interpd.task.index, interpd.task.attempt, interpd.task.count]
""")
    job = submit(ctl, path, "--name", "x", "-q", cwd=tmp_path)
    assert ctl("job", "wait", job).stdout == ""
    logs = ctl("job", "logs", job)
    assert logs.stdout == f"__main__ ['--name', 'x', '-q'] {tmp_path} 7\n"
    assert logs.stderr == "to stderr\n"
    (result,) = results(ctl, job)
    assert (result["index"], result["state"], result["attempt"]) == (0, "SUCCEEDED", 1)
    assert result["result"] == [0, 1, 1]


def test_inputs_come_from_a_range_a_file_standard_input_and_names_of_files(ctl, tmp_path):
    path = script(tmp_path, DOUBLE)
    ranged = submit(ctl, "--range", "-2:3", "--parallel", 2, path)
    (tmp_path / "inputs.jsonl").write_text('1\n\n"ab"\n[3]\n{"$tuple": [1]}\n')
    lines = submit(ctl, "--map", "inputs.jsonl", path, cwd=tmp_path)
    from_stdin = submit(ctl, "--map", "-", path, stdin="5\n6\n")
    for name in ("b.txt", "a.txt"):
        (tmp_path / name).touch()
    files = submit(ctl, "--glob", "*.txt", path, cwd=tmp_path)
    ctl("job", "wait", ranged, lines, from_stdin, files)
    assert [r["result"] for r in results(ctl, ranged)] == [-4, -2, 0, 2, 4]
    assert [r["result"] for r in results(ctl, lines)] == [2, "abab", [3, 3], [1, 1]]
    assert [r["result"] for r in results(ctl, from_stdin)] == [10, 12]
    assert [r["result"] for r in results(ctl, files)] == [f"{tmp_path}/{name}" * 2 for name in ("a.txt", "b.txt")]


def test_lines_of_several_tasks_say_whose_they_are(ctl, tmp_path):
    job = submit(ctl, "--range", "0:3", script(tmp_path, DOUBLE))
    ctl("job", "wait", job)
    expected = ["[task 0] task 0", "[task 1] task 1", "[task 2] task 2"]
    assert sorted(ctl("job", "logs", job).stdout.splitlines()) == expected
    assert ctl("job", "logs", job, "--task", 1).stdout == "task 1\n"
    assert sorted(ctl("job", "logs", job, "--no-prefix").stdout.splitlines()) == ["task 0", "task 1", "task 2"]


def test_results_are_passed_on(ctl, tmp_path):
    first = submit(ctl, "--range", "0:3", "--name", "first", script(tmp_path, DOUBLE))
    second = submit(ctl, "--after", first[:9], "--map-results", script(tmp_path, DOUBLE))
    third = submit(ctl, "--after", first, "--after", f"jobs/{second}", script(tmp_path, """
import interpd
interpd.task.result = sorted(interpd.task.after.items())
""", "third.py"))
    ctl("job", "wait", third)
    assert [r["result"] for r in results(ctl, second)] == [0, 4, 8]
    after = dict(results(ctl, third)[0]["result"])
    assert after[f"jobs/{first}"] == after["first"] == [0, 2, 4]
    assert after[f"jobs/{second}"] == [0, 4, 8]


def test_a_job_file_submits_what_belongs_together(ctl, tmp_path):
    script(tmp_path, DOUBLE, "double.py")
    (tmp_path / "jobs.yaml").write_text("""
jobs:
  - key: sum
    after: [double]
    script: |
      import interpd
      interpd.task.result = sum(interpd.task.after["double"])
  - key: double
    script_file: double.py
    values: [1, 2, 3]
    parallel: 2
""")
    done = ctl("job", "submit", "-f", tmp_path / "jobs.yaml", "--watch")
    last, first = done.stdout.split()
    assert results(ctl, last)[0]["result"] == 12
    assert ctl.json("job", "get", first)["spec"]["display_name"] == "double"
    assert f"{last} (sum): succeeded" in done.stderr


def test_the_examples_run(ctl, tmp_path):
    for name in os.listdir(EXAMPLES):
        shutil.copy(EXAMPLES / name, tmp_path)
    ids = ctl("job", "submit", "-f", "jobs.yaml", "--watch", cwd=tmp_path).stdout.split()
    assert len(ids) == 2
    report = ctl("job", "logs", ids[1]).stdout.splitlines()
    assert report[0] == "3 files" and len(report) == 6
    assert results(ctl, ids[1])[0]["result"]["files"] == 3


# ---- Options in the script, job run ---------------------------------------------------------------------------------


def test_options_stand_in_the_script_and_the_command_line_comes_first(ctl, tmp_path):
    path = script(tmp_path, "# /// interpd\n# range = '0:5'\n# name = 'mine'\n# ///\n" + DOUBLE)
    job = submit(ctl, path)
    other = submit(ctl, "--range", "7:8", path)
    ctl("job", "wait", job, other)
    assert len(results(ctl, job)) == 5
    assert [r["result"] for r in results(ctl, other)] == [14]
    assert ctl.json("job", "get", job)["spec"]["display_name"] == "mine"


def test_run_ends_as_the_script_does(ctl, tmp_path):
    done = ctl("job", "run", script(tmp_path, "import sys\nprint(sys.argv[1:])\nsys.exit(7)\n"), "--range", code=7)
    assert done.stdout == "['--range']\n"
    done = ctl("job", "run", script(tmp_path, "1 / 0\n"), code=1)
    assert "ZeroDivisionError" in done.stderr and "script.py\", line 1" in done.stderr
    done = ctl("job", "run", "--range", "0:3", script(tmp_path, "def task(i): return 1 // (i - 1)\n"), code=1)
    assert "task 1 failed: ZeroDivisionError: " in done.stderr and "1 of 3 tasks failed" in done.stderr
    assert ctl("job", "run", "-", stdin="print(6 * 7)").stdout == "42\n"


def test_a_script_can_be_called_by_its_first_line(ctl, tmp_path):
    path = script(tmp_path, "#!/usr/bin/env -S interpctl job run\nimport sys\nprint('hello', sys.argv[1:])\n")
    path.chmod(0o755)
    environment = {**ctl.environment, "PATH": f"{os.path.dirname(INTERPCTL)}:{os.environ['PATH']}"}
    done = subprocess.run([path, "-x", "y"], env=environment, capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stdout) == (0, "hello ['-x', 'y']\n"), done


def test_ctrl_c_cancels_what_run_has_begun(ctl, tmp_path):
    path = script(tmp_path, "import time\nprint('begun', flush=True)\ntime.sleep(600)\n")
    running = ctl.start("job", "run", path)
    assert running.stdout.readline() == "begun\n"
    running.send_signal(signal.SIGINT)
    assert running.wait(PATIENCE) == 130
    assert ctl.json("job", "list", "--limit", 1)[0]["state"] == "CANCELLED"


# ---- Waiting, failing, cancelling -----------------------------------------------------------------------------------


def test_wait_says_how_it_ended_by_its_exit_code(ctl, tmp_path):
    good = submit(ctl, script(tmp_path, "pass\n"))
    bad = submit(ctl, script(tmp_path, "raise ValueError('no')\n"))
    stuck = submit(ctl, script(tmp_path, "import time\ntime.sleep(600)\n"))
    assert f"{good} (script.py): succeeded" in ctl("job", "wait", good).stderr
    assert f"{bad} (script.py): failed, 1 failed" in ctl("job", "wait", good, bad, code=1).stderr
    ctl("job", "wait", stuck, "--timeout", "0.2", code=6)
    ctl("job", "cancel", stuck)
    assert f"{stuck} (script.py): cancelled" in ctl("job", "wait", good, stuck, code=8).stderr
    done = ctl("-o", "json", "job", "wait", bad, stuck, good, code=1)
    assert [job["state"] for job in json.loads(done.stdout)] == ["FAILED", "CANCELLED", "SUCCEEDED"]


def test_a_task_that_failed_says_why_and_is_tried_again(ctl, tmp_path):
    marker = tmp_path / "marker"
    path = script(tmp_path, f"""
import os, interpd
def task(item):
    if item == 2 and not os.path.exists({str(marker)!r}):
        print("attempt", interpd.task.attempt, interpd.task.key)
        raise KeyError("two")
    return interpd.task.attempt
""")
    job = submit(ctl, "--range", "0:4", "--retries", 1, "--backoff", "10ms", path)
    ctl("job", "wait", job, code=1)
    (failed,) = results(ctl, job, "--failed")
    assert (failed["index"], failed["attempt"], failed["error"]) == (2, 2, "KeyError: 'two'")
    assert "script.py\", line 6, in task" in failed["traceback"]
    assert len(results(ctl, job)) == 4 and len(results(ctl, job, "--all")) == 4
    attempts = ctl("job", "logs", job, "--task", 2).stdout.splitlines()
    assert [line.split()[:2] for line in attempts][-1] == ["attempt", "2"]
    assert {line.split()[2] for line in attempts} == {failed["key"]}
    table = ctl("job", "results", job).stdout.splitlines()
    assert table[0].split() == ["INDEX", "STATE", "ATTEMPT", "TIME", "RESULT"]
    assert "KeyError" in table[3]
    marker.touch()
    ctl("job", "retry", job)  # at once: it waits until the interpreters of the first time have ended
    ctl("job", "wait", job)
    assert [r["state"] for r in results(ctl, job)] == ["SUCCEEDED"] * 4


def test_an_attempt_that_takes_too_long_has_failed(ctl, tmp_path):
    job = submit(ctl, "--timeout", "0.3", script(tmp_path, "import time\ntime.sleep(600)\n"))
    ctl("job", "wait", job, code=1)
    assert results(ctl, job)[0]["state"] == "FAILED"


def test_progress_on_a_terminal_and_elsewhere(ctl, tmp_path):
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    path = script(tmp_path, f"def task(item):\n    if item == 2: open({str(gate)!r}).read()\n")
    job = submit(ctl, "--range", "0:4", path)
    terminal = Terminal(ctl, "job", "wait", job)
    terminal.expect(r"running \[=+>? *\] 2 of 4 tasks")
    plain = ctl.start("job", "wait", job)
    assert plain.stderr.readline() == f"{job} (script.py): running, 2 of 4 tasks\n"
    gate.write_text("")
    terminal.expect(r"succeeded, 4 of 4 tasks")
    assert terminal.exit_code() == 0
    assert "succeeded, 4 of 4 tasks in " in plain.stderr.read()
    assert plain.wait(PATIENCE) == 0


def test_logs_and_results_follow(ctl, tmp_path):
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    path = script(tmp_path, f"""
def task(i):
    print('line', i, flush=True)
    open({str(gate)!r}).read()
    return i
""")
    job = submit(ctl, "--range", "0:2", path)
    logs = ctl.start("job", "logs", "-f", job)
    followed = ctl.start("job", "results", "-f", "-o", "jsonl", job)
    for index in range(2):
        assert logs.stdout.readline() == f"[task {index}] line {index}\n"
        gate.write_text("")
        assert json.loads(followed.stdout.readline())["result"] == index
    assert logs.wait(PATIENCE) == 0 and followed.wait(PATIENCE) == 0
    assert logs.stdout.read() == "" and followed.stdout.read() == ""


# ---- What is refused ------------------------------------------------------------------------------------------------


def test_a_bad_line_submits_nothing(ctl, tmp_path):
    before = ctl("job", "list", "-q", "--limit", 0).stdout
    done = ctl("job", "submit", "--map", "-", script(tmp_path, DOUBLE), stdin="1\n" * 200_000 + "{oops}\n", code=2)
    assert "standard input:200001: " in done.stderr
    assert ctl("job", "list", "-q", "--limit", 0).stdout == before


def test_what_is_wrong_is_said_before_anything_is_submitted(ctl, tmp_path):
    path = script(tmp_path, DOUBLE)
    assert "--glob: nothing matches" in ctl("job", "submit", "--glob", tmp_path / "*.gif", path, code=4).stderr
    assert "--range and" not in ctl("job", "submit", "--range", "3:1", path, code=2).stderr
    assert "retries" in ctl("job", "submit", "--retries", 5000, path, code=2).stderr
    assert "cron" in ctl("job", "submit", "--every", "61 * * * *", path, code=2).stderr
    ctl("job", "submit", "--after", "nosuchjob1", path, code=4)
    ctl("job", "submit", "--after", "nosuch", path, code=4)
    ctl("job", "submit", tmp_path / "nowhere.py", code=4)
    ctl("job", "submit", code=2)
    ctl("job", "submit", "-f", "x.yaml", "--retries", 1, code=2)
    ctl("job", "run", script(tmp_path, "# /// interpd\n# every = '@daily'\n# ///\n"), code=2)
    for command in ("get", "wait", "logs", "results", "cancel", "retry", "delete"):
        ctl("job", command, "nosuchjob1", code=4)


def test_commands_go_on_when_one_job_fails(ctl, tmp_path):
    first, second = (submit(ctl, script(tmp_path, "pass\n")) for _ in range(2))
    ctl("job", "wait", first, second)
    done = ctl("job", "delete", "-q", first, "nosuchjob1", second, code=4)
    assert done.stdout.split() == [first, second]
    ctl("job", "get", first, code=4)


def test_a_request_id_makes_a_submission_safe_to_repeat(ctl, tmp_path):
    path = script(tmp_path, DOUBLE)
    job = submit(ctl, "--request-id", "mine", "--range", "0:3", path)
    assert submit(ctl, "--request-id", "mine", "--range", "0:3", path) == job


def test_list_picks_by_state_and_stops(ctl, tmp_path):
    jobs = [submit(ctl, script(tmp_path, "pass\n")) for _ in range(3)]
    ctl("job", "wait", *jobs)
    assert ctl("job", "list", "-q", "--limit", 2).stdout.split() == [jobs[2], jobs[1]]
    assert not set(jobs) & set(ctl("job", "list", "-q", "--state", "failed", "--state", "cancelled").stdout.split())
    heading = ctl("job", "list", "--limit", 1).stdout.splitlines()[0]
    assert heading.split() == ["ID", "NAME", "STATE", "TASKS", "FAILED", "AGE"]
    later = submit(ctl, "--at", "+1h", script(tmp_path, "pass\n"))
    assert ctl("job", "list", "-q", "--state", "scheduled").stdout.split() == [later]
    ctl("job", "delete", later)


# ---- The daemon goes, and comes back --------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["killed", "drained"])
def test_who_waits_and_who_reads_outlive_the_daemon(daemons, ctl, tmp_path, how):
    begun = tmp_path / "begun"
    gate = tmp_path / "gate"
    path = script(tmp_path, f"""
import os, time, interpd
def task(item):
    print("item", item, flush=True)
    if item == 2:
        open({str(begun)!r}, "a").write(f"{{interpd.task.attempt}}\\n")
        while not os.path.exists({str(gate)!r}):
            time.sleep(0.01)
    return item
""")
    job = submit(ctl, "--range", "0:4", path)
    waiting = ctl.start("job", "wait", job)
    followed = ctl.start("job", "results", "-f", "-o", "jsonl", job)
    # Both are connected, and the third task runs.
    assert waiting.stderr.readline().startswith(f"{job} (script.py): ")
    assert [json.loads(followed.stdout.readline())["result"] for _ in range(2)] == [0, 1]
    wait_until(begun.exists)
    if how == "killed":
        daemons.kill()
    else:
        daemons.now.process.terminate()
        gate.touch()
        daemons.now.process.wait(PATIENCE)
    daemons.start()
    if how == "killed":
        wait_until(lambda: begun.read_text() == "1\n2\n")
        gate.touch()
    assert waiting.wait(PATIENCE) == 0, waiting.stderr.read()
    assert followed.wait(PATIENCE) == 0
    assert [json.loads(line)["result"] for line in followed.stdout] == [2, 3]
    assert "the daemon went away" in waiting.stderr.read()
    assert ctl.json("job", "get", job)["state"] == "SUCCEEDED"


def test_a_million_inputs_take_bounded_memory(ctl, tmp_path):
    """The client's, by its resource usage."""
    path = script(tmp_path, "def task(item): return item\n")
    inputs = tmp_path / "inputs.jsonl"
    inputs.write_text("".join(f"{i}\n" for i in range(1_000_000)))
    command = [INTERPCTL, "job", "submit", "--at", "+1h", "--map", str(inputs), str(path)]
    pid = os.spawnve(os.P_NOWAIT, INTERPCTL, command, ctl.environment)
    _, status, usage = os.wait4(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert usage.ru_maxrss < 100_000, usage.ru_maxrss  # KiB
    (job,) = ctl.json("job", "list", "--limit", 1)
    assert int(job["task_count"]) == 1_000_000
    ctl("job", "delete", job["name"])
