"""Metrics: what Prometheus scrapes, what the dashboard asks for, and what `interpctl stats` shows are the same."""

import collections
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import urllib.request

import pytest

INTERPD = os.path.abspath("daemon/interpd")
INTERPCTL = os.path.abspath("client/interpctl")
DASHBOARD = pathlib.Path("deploy/grafana/interpd.json")
PATIENCE = 60
MOST_LABELLED = 200


class Daemon:
    def __init__(self, directory, *args):
        self.address = f"unix:{directory}/d.sock"
        self.process = subprocess.Popen([INTERPD, "--listen", self.address, *args], stderr=subprocess.PIPE, text=True)
        self.url = None
        for line in self.process.stderr:
            if match := re.search(r"metrics at (http://\S+)", line):
                self.url = match[1]
            if "interpd: ready" in line:
                return
        raise AssertionError("it did not get ready")

    def ctl(self, *args, code=0):
        done = subprocess.run([INTERPCTL, "--address", self.address, *args], capture_output=True, text=True,
                              timeout=PATIENCE)
        assert done.returncode == code, (args, done)
        return done.stdout

    def scrape(self):
        """name -> {labels -> value}, as the text has them."""
        with urllib.request.urlopen(self.url, timeout=PATIENCE) as answer:
            text = answer.read().decode()
        metrics = collections.defaultdict(dict)
        for line in text.splitlines():
            if not line.startswith("#"):
                name, labels, value = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line).groups()
                metrics[name][tuple(sorted(re.findall(r'(\w+)="(.*?)"', labels or "")))] = float(value)
        return metrics

    def stop(self):
        self.process.terminate()
        self.process.communicate(timeout=PATIENCE)
        assert self.process.returncode == 0


@pytest.fixture
def directory():
    path = pathlib.Path(tempfile.mkdtemp(prefix="imet", dir="/tmp"))  # short: a socket's path
    yield path
    shutil.rmtree(path)


@pytest.fixture
def daemon(directory):
    daemon = Daemon(directory, "--metrics-listen", "127.0.0.1:0", "--state-dir", str(directory / "state"))
    yield daemon
    daemon.stop()


def labels(**pairs):
    return tuple(sorted(pairs.items()))


def use(daemon):
    """A bit of everything; what must then be counted is below."""
    daemon.ctl("create", "one")
    for _ in range(3):
        daemon.ctl("call", "one", "math:sqrt", "4")
    daemon.ctl("exec", "one", "-c", "1/0", code=1)
    daemon.ctl("call", "nobody", "math:sqrt", "4", code=4)
    daemon.ctl("create", "closed")
    daemon.ctl("exec", "closed", "-c", "pass")
    daemon.ctl("close", "closed")
    daemon.ctl("channel", "create", "jobs")
    daemon.ctl("channel", "send", "jobs", "1", "2", "3")
    daemon.ctl("channel", "recv", "jobs", "-n", "1", "--ack")


def test_nothing_listens_unless_it_is_asked_for(directory):
    daemon = Daemon(directory)
    assert daemon.url is None
    daemon.stop()


def test_what_was_done_is_counted(daemon):
    use(daemon)
    metrics = daemon.scrape()
    rpcs = metrics["interpd_rpcs_total"]
    assert rpcs[labels(method="interpd.v1.Interpreters/Call", code="OK")] == 3
    assert rpcs[labels(method="interpd.v1.Interpreters/Call", code="NOT_FOUND")] == 1
    assert rpcs[labels(method="interpd.v1.Interpreters/Create", code="OK")] == 2
    assert metrics["interpd_rpc_duration_seconds_count"][labels(method="interpd.v1.Interpreters/Call")] == 4
    assert 0 < metrics["interpd_rpc_duration_seconds_sum"][labels(method="interpd.v1.Interpreters/Create")] < PATIENCE
    assert metrics["interpd_interpreters"][labels(state="active")] == 1
    assert metrics["interpd_interpreters"][labels(state="stuck")] == 0
    assert metrics["interpd_work_completed_total"][()] == 5
    assert metrics["interpd_work_queue_seconds_count"][()] == 5
    assert metrics["interpd_work_run_seconds_count"][()] == 5
    assert metrics["interpd_work_exceptions_total"][()] == 1
    assert metrics["interpd_interpreter_completed_total"] == {labels(interpreter="one"): 4}
    assert metrics["interpd_interpreter_cpu_seconds_total"][labels(interpreter="one")] > 0
    assert metrics["interpd_interpreter_memory_bytes"][labels(interpreter="one")] > 1 << 20
    assert metrics["interpd_channel_depth"][labels(channel="jobs")] == 2
    assert metrics["interpd_channel_sent_total"][labels(channel="jobs")] == 3
    assert metrics["interpd_channel_received_total"][labels(channel="jobs")] == 1
    assert metrics["interpd_jobs"] and set(metrics["interpd_jobs"].values()) == {0}
    assert metrics["interpd_job_journal_works"][()] == 1
    assert metrics["process_resident_memory_bytes"][()] > 1 << 20
    [(build, one)] = metrics["interpd_build_info"].items()
    assert one == 1 and dict(build)["python"].startswith("3.14")


def test_histograms_are_cumulative_and_complete(daemon):
    use(daemon)
    series = daemon.scrape()["interpd_work_run_seconds_bucket"]
    buckets = {float(dict(key)["le"].replace("+Inf", "inf")): value for key, value in series.items()}
    ordered = [buckets[bound] for bound in sorted(buckets)]
    assert ordered == sorted(ordered) and ordered[-1] == 5 and sorted(buckets)[-1] == float("inf")


def test_time_in_the_queue_is_seen(daemon):
    daemon.ctl("create", "one")
    busy = subprocess.Popen([INTERPCTL, "--address", daemon.address, "exec", "one", "-c",
                             "import time; print(1, flush=True); time.sleep(0.3)"], stdout=subprocess.PIPE)
    assert busy.stdout.readline() == b"1\n"
    daemon.ctl("call", "one", "math:sqrt", "4")
    busy.communicate(timeout=PATIENCE)
    metrics = daemon.scrape()
    assert 0.05 < metrics["interpd_work_queue_seconds_sum"][()] < PATIENCE
    assert 0.3 <= metrics["interpd_work_run_seconds_sum"][()] < PATIENCE


def test_clients_cannot_make_series_without_end(daemon):
    daemon.ctl("create", "--count", str(MOST_LABELLED + 10), "w")
    for i in range(MOST_LABELLED + 10, 0, -40):
        daemon.ctl("call", f"w-{i}", "math:sqrt", "4")
    metrics = daemon.scrape()
    # A sum of what comes and goes would fall, and a counter must not.
    assert len(metrics["interpd_interpreter_completed_total"]) == MOST_LABELLED
    assert metrics["interpd_work_completed_total"][()] == 6
    gauges = metrics["interpd_interpreter_memory_bytes"]
    assert len(gauges) == MOST_LABELLED + 1
    assert gauges[labels(interpreter="(others)")] > 10 << 20


def test_the_dashboard_asks_for_what_there_is(daemon):
    use(daemon)
    daemon.ctl("constant", "list")
    there = set(daemon.scrape())
    dashboard = json.loads(DASHBOARD.read_text())
    asked = set()
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            asked |= set(re.findall(r"\b(?:interpd|process)_\w+", target["expr"]))
    assert len(asked) > 15 and asked <= there, asked - there
    # And the other way round: what is counted is shown.
    shown = {re.sub("_(bucket|sum|count)$", "", name) for name in asked}
    counted = {re.sub("_(bucket|sum|count)$", "", name) for name in there if name.startswith(("interpd_", "process_"))}
    assert not counted - shown


def test_stats_are_the_same(daemon):
    use(daemon)
    stats = json.loads(daemon.ctl("-o", "json", "stats"))
    names = {metric["name"] for metric in stats["metrics"] if metric["samples"]}
    scraped = {re.sub("_(bucket|sum|count)$", "", name) for name in daemon.scrape() if not name.startswith("exposer")}
    assert names == scraped


def test_stats_for_people(daemon):
    use(daemon)
    text = daemon.ctl("stats")
    assert re.search(r"(?m)^Work exceptions: +1$", text), text
    assert re.search(r"(?m)^Process resident memory: +[\d.]+ MiB$", text), text
    assert re.search(r"(?m)^INTERPRETER +PENDING +COMPLETED +CPU +MEMORY$", text), text
    assert re.search(r"(?m)^one +0 +4 ", text), text


def test_stats_again_and_again(daemon):
    command = [INTERPCTL, "--address", daemon.address, "-o", "json", "stats", "--watch", "--every", "100ms"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watch:
        counts = []
        for _ in range(3):
            metrics = {m["name"]: m for m in json.loads(watch.stdout.readline())["metrics"]}
            counts.append(metrics["process_cpu_seconds_total"]["samples"][0]["value"])
        assert counts == sorted(counts) and counts[0] < counts[-1]
        watch.terminate()


def test_an_address_that_is_taken(directory):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        done = subprocess.run([INTERPD, "--listen", f"unix:{directory}/d.sock", "--metrics-listen", where],
                              stderr=subprocess.PIPE, text=True, timeout=PATIENCE)
    assert done.returncode == 1 and f"metrics.listen: cannot listen on {where}" in done.stderr
