"""interpctl channel: the real program against a real daemon, and clients that die."""

import json
import os
import pathlib
import signal
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from interpctl import INTERPCTL, PATIENCE, Ctl, Daemon, Terminal, wait_until  # noqa: E402
from interpctl import ctl as any_ctl, daemon, directory  # noqa: E402, F401


@pytest.fixture
def ctl(any_ctl):
    """Leaves no channel behind."""
    yield any_ctl
    names = any_ctl("channel", "list", "-q").stdout.split()
    if names:
        any_ctl("channel", "close", "--discard", *names)
    assert any_ctl("channel", "list", "-q").stdout == ""


@pytest.fixture
def jobs(ctl):
    ctl("channel", "create", "jobs")
    return "jobs"


def channel(ctl, name):
    return ctl.json("channel", "get", name)


def length(ctl, name):
    return int(channel(ctl, name)["length"])


def drain(ctl, name, count):
    """The next so many values, which are there."""
    lines = ctl("channel", "recv", name, "-n", count, "--timeout", "30").stdout.splitlines()
    return [json.loads(line) for line in lines]


def numbers(first, last):
    return "".join(f"{i}\n" for i in range(first, last + 1))


# ---- create list get close stats -------------------------------------------------------------------------------------

def test_create_list_get_close(ctl):
    assert ctl("channel", "create", "a", "--capacity", "8").stdout == "a\n"
    assert ctl("channel", "list", "-q").stdout == "a\n"
    table = [line.split() for line in ctl("channel", "list").stdout.splitlines()]
    assert table[0] == ["NAME", "KIND", "STATE", "LENGTH", "CAPACITY", "SENT"]
    assert table[1] == ["a", "queue", "open", "0", "8", "0"]
    fields = dict(line.split(":", 1) for line in ctl("channel", "get", "a").stdout.splitlines())
    assert fields["Name"].strip() == "a" and fields["State"].strip() == "open"
    assert ctl("channel", "close", "a").stdout == ""
    assert ctl("channel", "list", "-q").stdout == ""


def test_json_has_the_names_of_the_api(ctl):
    made = ctl.json("channel", "create", "a")
    assert made["name"] == "channels/a" and made["state"] == "OPEN"
    assert made["config"]["capacity"] == "1024" and made["config"]["kind"] == "QUEUE"
    assert [one["name"] for one in ctl.json("channel", "list")] == ["channels/a"]
    assert channel(ctl, "channels/a") == made
    assert ctl.json("channel", "close", "a")["state"] == "CLOSED"
    assert ctl.json("channel", "list") == []


def test_a_name_is_chosen_when_none_is_given(ctl):
    name = ctl("channel", "create").stdout.strip()
    assert name and ctl("channel", "list", "-q").stdout.strip() == name


def test_a_name_that_is_taken(ctl, jobs):
    assert "jobs" in ctl("channel", "create", jobs, code=5).stderr


def test_names_that_are_not_there(ctl):
    for command in (["get", "no"], ["close", "no"], ["send", "no", "1"], ["recv", "no"], ["stats", "no"]):
        assert "no" in ctl("channel", *command, code=4).stderr


def test_close_goes_on_after_an_error(ctl, jobs):
    ctl("channel", "create", "more")
    assert "missing" in ctl("channel", "close", jobs, "missing", "more", code=4).stderr
    assert ctl("channel", "list", "-q").stdout == ""


def test_a_closed_channel_is_emptied_first(ctl, jobs):
    ctl("channel", "send", jobs, 1, 2)
    assert ctl.json("channel", "close", jobs)["state"] == "CLOSING"
    assert "closed" in ctl("channel", "send", jobs, 3, code=5).stderr
    assert drain(ctl, jobs, 2) == [1, 2]
    ctl("channel", "get", jobs, code=4)
    ctl("channel", "create", jobs)
    ctl("channel", "send", jobs, 1)
    assert ctl.json("channel", "close", jobs, "--discard")["state"] == "CLOSED"
    ctl("channel", "get", jobs, code=4)


def test_stats(ctl, jobs):
    ctl("channel", "send", jobs, 1, 2, 3)
    drain(ctl, jobs, 1)
    rows = [line.split("  ") for line in ctl("channel", "stats").stdout.splitlines()]
    assert [cell.strip() for cell in rows[0] if cell.strip()][:4] == ["NAME", "LENGTH", "UNACKED", "SENT"]
    assert ctl("channel", "stats", jobs).stdout.splitlines()[1].split()[:5] == [jobs, "2", "0", "3", "1"]
    assert [one["sent_count"] for one in ctl.json("channel", "stats", jobs)] == ["3"]


# ---- send ------------------------------------------------------------------------------------------------------------

VALUES = ['null', 'true', '-7', '123456789012345678901234567890', '1.5', 'NaN', '"text"', '[1, [2]]', '{"k": null}',
          '{"$bytes": "AP8="}', '{"$set": [1]}', '{"$complex": [1.0, 2.0]}', '{"$dict": [[1, 2]]}',
          '{"$pickle": "gAVLAS4="}', '{"$buffer": "AAEC"}', '{"$buffer": ["AAAAAAAA8D8=", "d"]}',
          '{"$buffer": ["AAEC", "B", [3, 1]]}']


def test_values_come_out_as_they_went_in(ctl, jobs):
    ctl("channel", "send", jobs, "--", *VALUES)
    got = ctl("channel", "recv", jobs, "-n", len(VALUES)).stdout.splitlines()
    assert got == VALUES
    ctl("channel", "send", jobs, "--stdin", stdin="\n".join(VALUES))
    assert ctl("channel", "recv", jobs, "-n", len(VALUES)).stdout.splitlines() == VALUES


def test_a_channel_travels_in_a_channel(ctl, jobs):
    ctl("channel", "create", "inner")
    ctl("channel", "send", jobs, '{"$channel": "inner"}')
    assert ctl("channel", "recv", jobs).stdout == '{"$channel": "inner"}\n'
    assert "nobody" in ctl("channel", "send", jobs, '{"$channel": "nobody"}', code=2).stderr


def test_words_are_strings_and_broken_json_is_refused(ctl, jobs):
    ctl("channel", "send", jobs, "word", "two words")
    assert drain(ctl, jobs, 2) == ["word", "two words"]
    assert "value 2" in ctl("channel", "send", jobs, 1, "{broken", code=2).stderr
    assert length(ctl, jobs) == 0  # nothing is sent of a command line that is wrong
    assert "--stdin" in ctl("channel", "send", jobs, code=2).stderr
    ctl("channel", "send", jobs, 1, "--stdin", code=2)


def test_a_bad_line_is_named_and_those_before_it_are_sent(ctl, jobs):
    failed = ctl("channel", "send", jobs, "--stdin", stdin="1\n\n2\n  \n[3\n4\n", code=2)
    assert "line 5: not JSON" in failed.stderr and "sent 2 values" in failed.stderr
    assert drain(ctl, jobs, 2) == [1, 2]
    assert length(ctl, jobs) == 0


def test_nothing_to_send(ctl, jobs):
    assert ctl.json("channel", "send", jobs, "--stdin") == {"sent_count": "0"}
    assert ctl("-o", "json", "channel", "send", jobs, "--stdin", stdin="1\n2").stdout.split() == \
        ["{", '"sent_count":', '"2"', "}"]


def test_a_full_channel_holds_the_sender_up(ctl):
    ctl("channel", "create", "small", "--capacity", "4")
    sender = ctl.start("channel", "send", "small", *range(10))
    wait_until(lambda: channel(ctl, "small")["waiting_senders"] == "1")
    assert length(ctl, "small") == 4 and sender.poll() is None
    assert drain(ctl, "small", 10) == list(range(10))
    assert sender.wait(PATIENCE) == 0


def test_a_full_channel_and_a_timeout(ctl):
    ctl("channel", "create", "small", "--capacity", "4")
    failed = ctl("channel", "send", "small", *range(10), "--timeout", "0.3", code=6)
    assert "sent 4 of 10 values" in failed.stderr
    assert drain(ctl, "small", 4) == [0, 1, 2, 3]
    assert length(ctl, "small") == 0
    failed = ctl("channel", "send", "small", "--stdin", "--timeout", "0.3", stdin=numbers(1, 9), code=6)
    assert "sent 4 values" in failed.stderr


def test_ctrl_c_in_a_send_says_how_far_it_came(ctl):
    ctl("channel", "create", "small", "--capacity", "4")
    sender = ctl.start("channel", "send", "small", *range(10))
    wait_until(lambda: channel(ctl, "small")["waiting_senders"] == "1")
    sender.send_signal(signal.SIGINT)
    assert sender.wait(PATIENCE) == 130
    assert "sent 4 of 10 values" in sender.stderr.read()
    assert drain(ctl, "small", 4) == [0, 1, 2, 3]
    # One that waits for standard input.
    read_end, write_end = os.pipe()
    sender = ctl.start("channel", "send", "small", "--stdin", stdin=read_end)
    os.write(write_end, b"1\n")
    wait_until(lambda: length(ctl, "small") == 1)
    sender.send_signal(signal.SIGINT)
    assert sender.wait(PATIENCE) == 130
    assert "sent 1 values" in sender.stderr.read()
    os.close(read_end)
    os.close(write_end)


def test_a_channel_that_is_closed_under_a_sender(ctl):
    ctl("channel", "create", "small", "--capacity", "4")
    sender = ctl.start("channel", "send", "small", *range(10))
    wait_until(lambda: channel(ctl, "small")["waiting_senders"] == "1")
    ctl("channel", "close", "small")
    assert sender.wait(PATIENCE) == 5
    assert "sent 4 of 10 values" in sender.stderr.read()
    assert drain(ctl, "small", 4) == [0, 1, 2, 3]


def test_many_and_huge_values(ctl, jobs):
    sender = ctl.start("channel", "send", jobs, *range(1, 20001))
    assert ctl("channel", "recv", jobs, "-n", 20000).stdout == numbers(1, 20000)
    assert sender.wait(PATIENCE) == 0
    big = json.dumps("x" * 20_000_000)
    ctl("channel", "send", jobs, "--stdin", stdin="\n".join([big] * 3 + ["1"]))
    got = ctl("channel", "recv", jobs, "-n", 4).stdout.splitlines()
    assert got == [big] * 3 + ["1"]
    failed = ctl("channel", "send", jobs, "--stdin", stdin="1\n" + json.dumps("x" * (65 << 20)), code=5)
    assert "a message may have 67108864" in failed.stderr and "sent 1 values" in failed.stderr
    assert drain(ctl, jobs, 1) == [1]


def test_progress_on_a_terminal(ctl, jobs):
    terminal = Terminal(ctl, "channel", "send", jobs, "1", "2", "3")
    terminal.expect(r"sent \d of 3")
    assert terminal.exit_code() == 0


# ---- recv ------------------------------------------------------------------------------------------------------------

def test_recv_waits_and_times_out(ctl, jobs):
    receiver = ctl.start("channel", "recv", jobs, "-n", 2)
    wait_until(lambda: channel(ctl, jobs)["waiting_receivers"] == "1")
    ctl("channel", "send", jobs, "a", "b", "c")
    assert receiver.communicate(timeout=PATIENCE)[0] == '"a"\n"b"\n'
    assert receiver.returncode == 0
    failed = ctl("channel", "recv", jobs, "-n", 3, "--timeout", "0.3", code=6)
    assert failed.stdout == '"c"\n' and "1 of 3 values came in time" in failed.stderr
    assert ctl("channel", "recv", jobs, "--follow", "--timeout", "0", code=6).stdout == ""


def test_recv_takes_no_more_than_asked_for(ctl, jobs):
    ctl("channel", "send", jobs, *range(10))
    assert drain(ctl, jobs, 3) == [0, 1, 2]
    assert length(ctl, jobs) == 7
    assert drain(ctl, jobs, 7) == list(range(3, 10))


def test_recv_of_a_channel_that_is_closed(ctl, jobs):
    receiver = ctl.start("channel", "recv", jobs, "-n", 3)
    follower = ctl.start("channel", "recv", jobs, "--follow")
    wait_until(lambda: channel(ctl, jobs)["waiting_receivers"] == "2")
    ctl("channel", "close", jobs)
    assert receiver.wait(PATIENCE) == 5
    assert "0 of 3 values" in receiver.stderr.read()
    assert follower.wait(PATIENCE) == 0


def test_recv_as_json(ctl, jobs):
    ctl("channel", "send", jobs, 1, '[null]')
    lines = ctl("-o", "json", "channel", "recv", jobs, "-n", 2).stdout.splitlines()
    assert json.loads(lines[0])["int"] == "1"
    assert json.loads(lines[1])["items"] == [{"none": "NONE", "items": []}]


def test_ctrl_c_in_recv_prints_what_is_on_its_way(ctl, jobs):
    follower = ctl.start("channel", "recv", jobs, "--follow")
    ctl("channel", "send", jobs, *range(5))
    assert [follower.stdout.readline() for _ in range(5)] == [f"{i}\n" for i in range(5)]
    follower.send_signal(signal.SIGINT)
    assert follower.wait(PATIENCE) == 130
    assert follower.communicate(timeout=PATIENCE) == ("", "")
    ctl("channel", "send", jobs, 5)
    assert drain(ctl, jobs, 1) == [5]


def stopped_receiver(ctl, name, *args):
    """A receiver that reads nothing of what it is sent: its standard output is full and nobody reads it."""
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    try:
        while True:
            os.write(write_end, b"." * 4096)
    except BlockingIOError:
        pass
    os.set_blocking(write_end, True)
    process = subprocess.Popen([INTERPCTL, "channel", "recv", name, "--follow", *args], env=ctl.environment,
                               stdout=write_end, stderr=subprocess.PIPE, text=True)
    os.close(write_end)
    return process, read_end


def test_a_slow_receiver_holds_no_more_than_its_credit(ctl, jobs):
    process, read_end = stopped_receiver(ctl, jobs)
    wait_until(lambda: channel(ctl, jobs)["waiting_receivers"] == "1")
    ctl("channel", "send", jobs, "--stdin", stdin=numbers(1, 1000))
    # It asks for 256, and once it has taken those for as many again; printing is what it never comes back from.
    wait_until(lambda: length(ctl, jobs) <= 1000 - 256)
    left = length(ctl, jobs)
    assert left >= 1000 - 512
    assert drain(ctl, jobs, left) == list(range(1001 - left, 1001))
    process.kill()
    process.wait(PATIENCE)
    os.close(read_end)


# ---- clients that die ------------------------------------------------------------------------------------------------

def test_what_a_killed_receiver_has_not_acknowledged_comes_back_in_order(ctl, jobs):
    ctl("channel", "send", jobs, "--stdin", stdin=numbers(1, 1000))
    process, read_end = stopped_receiver(ctl, jobs, "--ack")
    wait_until(lambda: int(channel(ctl, jobs)["unacknowledged_count"]) >= 256)
    process.kill()
    process.wait(PATIENCE)
    wait_until(lambda: length(ctl, jobs) == 1000)
    assert channel(ctl, jobs)["unacknowledged_count"] == "0"
    assert drain(ctl, jobs, 1000) == list(range(1, 1001))
    os.close(read_end)


def test_what_was_acknowledged_does_not_come_back(ctl, jobs):
    process = ctl.start("channel", "recv", jobs, "--follow", "--ack")
    ctl("channel", "send", jobs, *range(10))
    assert [process.stdout.readline() for _ in range(10)] == [f"{i}\n" for i in range(10)]
    wait_until(lambda: channel(ctl, jobs)["unacknowledged_count"] == "0")
    process.kill()
    process.wait(PATIENCE)
    wait_until(lambda: channel(ctl, jobs)["waiting_receivers"] == "0")
    assert length(ctl, jobs) == 0


def test_without_acknowledgements_a_value_comes_at_most_once(ctl, jobs):
    ctl("channel", "send", jobs, "--stdin", stdin=numbers(1, 1000))
    process, read_end = stopped_receiver(ctl, jobs)
    wait_until(lambda: length(ctl, jobs) < 1000)
    process.kill()
    process.wait(PATIENCE)
    wait_until(lambda: channel(ctl, jobs)["waiting_receivers"] == "0")
    left = length(ctl, jobs)
    assert 1000 - 512 <= left <= 1000 - 256
    assert drain(ctl, jobs, left) == list(range(1001 - left, 1001))
    os.close(read_end)


def test_ctrl_c_with_acknowledgements_gives_back_what_was_not_printed(ctl, jobs):
    ctl("channel", "send", jobs, "--stdin", stdin=numbers(1, 1000))
    process, read_end = stopped_receiver(ctl, jobs, "--ack")
    wait_until(lambda: int(channel(ctl, jobs)["unacknowledged_count"]) >= 256)
    process.send_signal(signal.SIGINT)
    # Once it has heard that its output goes on: it finishes what it was printing.
    status = pathlib.Path(f"/proc/{process.pid}/status")
    wait_until(lambda: "ShdPnd:\t0000000000000000" in status.read_text())
    output = b""
    while chunk := os.read(read_end, 65536):
        output += chunk
    assert process.wait(PATIENCE) == 130
    printed = [int(line) for line in output.lstrip(b".").split()]
    assert printed == list(range(1, len(printed) + 1))
    wait_until(lambda: length(ctl, jobs) == 1000 - len(printed))
    if len(printed) < 1000:
        assert drain(ctl, jobs, 1000 - len(printed)) == list(range(len(printed) + 1, 1001))
    os.close(read_end)


def test_a_closed_channel_waits_for_what_a_dying_client_gives_back(ctl, jobs):
    ctl("channel", "send", jobs, "--stdin", stdin=numbers(1, 100))
    process, read_end = stopped_receiver(ctl, jobs, "--ack")
    wait_until(lambda: channel(ctl, jobs)["unacknowledged_count"] == "100")
    assert ctl.json("channel", "close", jobs)["state"] == "CLOSING"
    heir = ctl.start("channel", "recv", jobs, "--follow")
    wait_until(lambda: channel(ctl, jobs)["state"] == "CLOSING")
    process.kill()
    process.wait(PATIENCE)
    assert heir.communicate(timeout=PATIENCE)[0] == numbers(1, 100)
    assert heir.returncode == 0
    ctl("channel", "get", jobs, code=4)
    os.close(read_end)


def test_a_killed_sender_leaves_what_it_has_sent(ctl):
    ctl("channel", "create", "small", "--capacity", "4")
    sender = ctl.start("channel", "send", "small", *range(100))
    wait_until(lambda: channel(ctl, "small")["waiting_senders"] == "1")
    sender.kill()
    sender.wait(PATIENCE)
    wait_until(lambda: channel(ctl, "small")["waiting_senders"] == "0")
    assert drain(ctl, "small", 4) == [0, 1, 2, 3]
    assert length(ctl, "small") == 0


# ---- broadcast -------------------------------------------------------------------------------------------------------

def test_a_broadcast_reaches_everybody(ctl):
    ctl("channel", "create", "ticks", "--broadcast")
    receivers = [ctl.start("channel", "recv", "ticks", "-n", 3) for _ in range(3)]
    wait_until(lambda: channel(ctl, "ticks")["subscriber_count"] == "3")
    ctl("channel", "send", "ticks", 1, 2, 3)
    for receiver in receivers:
        assert receiver.communicate(timeout=PATIENCE)[0] == "1\n2\n3\n"
    wait_until(lambda: channel(ctl, "ticks")["subscriber_count"] == "0")
    assert "broadcast" in ctl("channel", "recv", "ticks", "--ack", code=2).stderr


def test_slow_subscribers(ctl):
    for policy in ("drop-oldest", "disconnect", "block"):
        ctl("channel", "create", policy, "--broadcast")
        process, read_end = stopped_receiver(ctl, policy, "--policy", policy, "--lag", "8")
        wait_until(lambda: channel(ctl, policy)["subscriber_count"] == "1")
        values = ["channel", "send", policy, "--stdin"]
        if policy == "block":
            sender = ctl.start(*values, stdin=subprocess.PIPE)
            sender.stdin.write(numbers(1, 1000))
            sender.stdin.close()
            wait_until(lambda: channel(ctl, policy)["waiting_senders"] == "1")
        else:
            ctl(*values, stdin=numbers(1, 1000))
        if policy == "drop-oldest":
            assert int(channel(ctl, policy)["dropped_count"]) > 0
        process.kill()
        process.wait(PATIENCE)
        os.close(read_end)
        wait_until(lambda: channel(ctl, policy)["subscriber_count"] == "0")
        if policy == "block":
            assert sender.wait(PATIENCE) == 0


# ---- hosted code -----------------------------------------------------------------------------------------------------

def test_hosted_code_and_clients_talk(ctl, jobs):
    ctl("channel", "create", "results")
    ctl("create", "worker", "-c", "import interpd")
    worker = ctl.start("exec", "worker", "-c", """
results = interpd.channel("results")
for job in interpd.channel("jobs"):
    results.send((job, type(job).__name__))
""")
    values = ["1", "1.5", '"żółć"', '{"$bytes": "AP8="}', "[null, true]", '{"$pickle": "gAVdlC4="}',
              '{"$buffer": "AAEC"}']
    ctl("channel", "send", jobs, *values)
    lines = ctl("channel", "recv", "results", "-n", len(values)).stdout.splitlines()
    assert lines[:5] == ['[1, "int"]', '[1.5, "float"]', '["żółć", "str"]', '[{"$bytes": "AP8="}, "bytes"]',
                         '[[null, true], "list"]']
    assert lines[5] == '[[], "list"]'  # what pickle.dumps([]) wrote
    assert lines[6] == '[{"$buffer": "AAEC"}, "memoryview"]'
    ctl("channel", "close", jobs)
    assert worker.wait(PATIENCE) == 0


def test_an_anonymous_channel_has_a_name_for_clients(ctl):
    ctl("create", "worker", "-c", "import interpd; inbox = interpd.channel(); get = lambda: inbox")
    name = json.loads(ctl("call", "worker", "get").stdout)["$channel"]
    assert name.startswith("~")
    assert json.loads(ctl("call", "worker", "get").stdout)["$channel"] == name
    ctl("channel", "send", name, 1, 2)
    assert ctl("exec", "worker", "-c", "print(inbox.recv() + inbox.recv())").stdout == "3\n"
    # And as an argument.
    ctl("exec", "worker", "-c", "def same(channel): return channel is inbox or channel == inbox")
    assert ctl("call", "worker", "same", json.dumps({"$channel": name})).stdout == "true\n"
    assert "nobody" in ctl("call", "worker", "same", '{"$channel": "nobody"}', code=2).stderr
    assert ctl("channel", "list", "-q").stdout == ""


def test_what_an_interpreter_has_sent_outlives_it(ctl, jobs):
    ctl("create", "worker", "-c", "import interpd")
    ctl("exec", "worker", "-c", "for i in range(10): interpd.channel('jobs').send(i)")
    ctl("close", "worker")
    assert drain(ctl, jobs, 10) == list(range(10))


# ---- the daemon ------------------------------------------------------------------------------------------------------

def test_a_drain_with_open_streams(directory):
    (directory / "drain").mkdir()
    daemon = Daemon(directory / "drain")
    ctl = Ctl(daemon.address)
    ctl("channel", "create", "jobs", "--capacity", "4")
    ctl("channel", "create", "empty")
    sender = ctl.start("channel", "send", "jobs", *range(10))
    wait_until(lambda: channel(ctl, "jobs")["waiting_senders"] == "1")
    follower = ctl.start("channel", "recv", "empty", "--follow")
    wait_until(lambda: channel(ctl, "empty")["waiting_receivers"] == "1")
    ctl("create", "worker", "-c", """
import atexit, interpd
atexit.register(interpd.channel("empty").send, "last words")
""")
    ctl("drain")
    assert sender.wait(PATIENCE) == 5 and "shutting down" in sender.stderr.read()
    # What an interpreter sends as it ends still reaches who has asked for it.
    assert follower.communicate(timeout=PATIENCE)[0] == '"last words"\n'
    assert follower.returncode == 5
    assert daemon.process.wait(PATIENCE) == 0
    daemon.process.stderr.close()


def test_a_daemon_that_dies_under_streams(directory):
    (directory / "dies").mkdir()
    daemon = Daemon(directory / "dies")
    ctl = Ctl(daemon.address)
    ctl("channel", "create", "jobs", "--capacity", "4")
    ctl("channel", "create", "empty")
    sender = ctl.start("channel", "send", "jobs", *range(10))
    follower = ctl.start("channel", "recv", "empty", "--follow")
    wait_until(lambda: channel(ctl, "jobs")["waiting_senders"] == "1")
    wait_until(lambda: channel(ctl, "empty")["waiting_receivers"] == "1")
    daemon.process.kill()
    daemon.process.communicate()
    assert follower.wait(PATIENCE) == 3
    assert sender.wait(PATIENCE) == 3 and "sent 4 of 10 values" in sender.stderr.read()


def test_help_and_usage(ctl):
    top = ctl("channel", "--help").stdout
    for command in ("create", "list", "get", "send", "recv", "close", "stats"):
        assert f"  {command} " in top
        assert f"interpctl channel {command}" in ctl("channel", command, "--help").stdout
    assert 'did you mean "channel send"' in ctl("channel", "snd", code=2).stderr
    assert "command is missing" in ctl("channel", code=2).stderr
    ctl("channel", "create", "a", "--capacity", "-1", code=2)
    ctl("channel", "create", "a", "--broadcast", "--capacity", "1", code=2)
    ctl("channel", "recv", "a", "-n", "0", code=2)
    ctl("channel", "recv", "a", "-n", "1", "--follow", code=2)


def test_completion(ctl, jobs):
    script = ctl("completion", "bash").stdout + """
COMP_WORDS=(interpctl channel send jo); COMP_CWORD=3; _interpctl; echo "${COMPREPLY[@]}"
"""
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True,
                          env={**ctl.environment, "PATH": os.path.dirname(INTERPCTL) + ":" + os.environ["PATH"]})
    assert done.stdout == "jobs\n", done
