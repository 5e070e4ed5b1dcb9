"""interpctl as a user has it: the real program against a real daemon."""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from interpctl import INTERPCTL, PATIENCE, Ctl, Daemon, Terminal, wait_until  # noqa: E402
from interpctl import ctl, daemon, directory  # noqa: E402, F401


@pytest.fixture
def worker(ctl):
    ctl("create", "worker")
    return "worker"


# ---- create list get close -------------------------------------------------------------------------------------------

def test_create_list_get_close(ctl):
    assert ctl("create", "a").stdout == "a\n"
    assert ctl("list", "-q").stdout == "a\n"
    table = [line.split() for line in ctl("list").stdout.splitlines()]
    assert table[0] == ["NAME", "STATE", "PENDING", "COMPLETED", "CPU", "MEMORY", "AGE"]
    assert table[1][:4] == ["a", "active", "0", "0"]
    fields = dict(line.split(":", 1) for line in ctl("get", "a").stdout.splitlines())
    assert fields["Name"].strip() == "a" and fields["State"].strip() == "active"
    assert ctl("close", "a").stdout == ""
    assert ctl("list", "-q").stdout == ""


def test_json_has_the_names_of_the_api(ctl):
    made = ctl.json("create", "a")
    assert made["name"] == "interpreters/a" and made["state"] in ("ACTIVE", "RUNNING")
    assert {"create_time", "completed_count", "pending_count", "thread_id", "memory_bytes", "config"} <= made.keys()
    assert [one["name"] for one in ctl.json("list")] == ["interpreters/a"]
    assert ctl.json("get", "interpreters/a")["thread_id"] == made["thread_id"]
    assert ctl.json("close", "a")["name"] == "interpreters/a"
    assert ctl.json("list") == []


def test_a_name_is_chosen_when_none_is_given(ctl):
    name = ctl("create").stdout.strip()
    assert name and ctl("list", "-q").stdout.strip() == name


def test_many_at_once(ctl):
    assert ctl("create", "w", "--count", "20").stdout.split() == [f"w-{i}" for i in range(1, 21)]
    assert len(ctl.json("create", "--count", "3")) == 3
    assert len(ctl("list", "-q").stdout.split()) == 23
    ctl("close", "--all")
    assert ctl("list", "-q").stdout == ""


def test_create_with_code_and_paths(ctl, directory):
    library = directory / "library"
    library.mkdir()
    (library / "tool.py").write_text("answer = 42\n")
    (directory / "setup.py").write_text("import tool\nanswer = tool.answer\n")
    ctl("create", "a", "--setup", "setup.py", "--path", "library", cwd=directory)
    assert ctl("exec", "a", "-c", "print(answer)").stdout == "42\n"
    ctl("create", "b", "-c", "x = 1", "--cwd", str(library))
    assert ctl("exec", "b", "-c", "import os; print(x, os.getcwd())").stdout == f"1 {library}\n"


def test_set_up_code_that_raises(ctl):
    failed = ctl("create", "a", "-c", "1/0", code=1)
    assert "ZeroDivisionError" in failed.stderr and failed.stdout == ""
    assert ctl("list", "-q").stdout == ""


def test_a_name_that_is_taken(ctl, worker):
    assert "worker" in ctl("create", worker, code=5).stderr


def test_names_that_are_not_there(ctl, worker):
    for command in (["get", "no"], ["close", "no"], ["exec", "no", "-c", "1"], ["call", "no", "len"], ["logs", "no"],
                    ["interrupt", "no"], ["repl", "no"]):
        assert "no" in ctl(*command, code=4).stderr


def test_close_goes_on_after_an_error(ctl):
    ctl("create", "--count", "2", "a")
    failed = ctl("close", "a-1", "missing", "a-2", code=4)
    assert "missing" in failed.stderr
    assert ctl("list", "-q").stdout == ""


# ---- exec ------------------------------------------------------------------------------------------------------------

def test_exec_keeps_names_and_separates_streams(ctl, worker):
    ctl("exec", worker, "-c", "x = 20")
    done = ctl("exec", worker, "-c", "import sys; print(x + 1); print('oops', file=sys.stderr)")
    assert (done.stdout, done.stderr) == ("21\n", "oops\n")


def test_exec_passes_arguments_on(ctl, worker, directory):
    script = directory / "arguments.py"
    script.write_text("import sys; print(sys.argv)\n")
    done = ctl("exec", worker, script, "-q", "--address", "x", "--", "[1]")
    assert done.stdout == f"{[str(script), '-q', '--address', 'x', '--', '[1]']}\n"
    assert ctl("exec", worker, "-c", "import sys; print(sys.argv)", "-c").stdout == "['-c', '-c']\n"
    assert ctl("exec", worker, "-", "a", stdin="import sys; print(sys.argv[1:])").stdout == "['a']\n"


def test_exec_shows_tracebacks(ctl, worker, directory):
    script = directory / "raises.py"
    script.write_text("def f():\n    raise ValueError('so it goes')\nf()\n")
    failed = ctl("exec", worker, script, code=1)
    assert failed.stdout == ""
    assert "raise ValueError('so it goes')" in failed.stderr and f'File "{script}", line 2, in f' in failed.stderr
    assert failed.stderr.endswith("ValueError: so it goes\n")
    assert "SyntaxError" in ctl("exec", worker, "-c", "def", code=1).stderr


@pytest.mark.parametrize("exit_, code", [("0", 0), ("3", 3), ("255", 255), ("256", 0), ("-1", 255), ("None", 0),
                                         ("'message'", 1), ("", 0)])
def test_exec_ends_with_the_code_of_a_system_exit(ctl, worker, exit_, code):
    done = ctl("exec", worker, "-c", f"import sys; sys.exit({exit_})", code=code)
    assert "Traceback" not in done.stderr
    if exit_ == "'message'":
        assert "message" in done.stderr


def test_exec_streams(ctl, worker):
    process = ctl.start("exec", worker, "-c", "import time\nprint('first', flush=True)\ntime.sleep(3600)")
    assert process.stdout.readline() == "first\n"
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE) == 130
    assert "KeyboardInterrupt" in process.stderr.read()


def test_exec_of_json_keeps_standard_output_for_the_result(ctl, worker):
    done = ctl("-o", "json", "exec", worker, "-c", "print('hello'); 1/0", code=1)
    result = json.loads(done.stdout)
    assert result["exit_code"] == 1 and result["exception"]["type"] == "ZeroDivisionError"
    assert "hello\n" in done.stderr


def test_exec_of_much_output(ctl, worker):
    done = ctl("exec", worker, "-c", "for i in range(200_000): print(i)")
    assert done.stdout == "".join(f"{i}\n" for i in range(200_000))


def test_exec_into_a_pipe_that_closes(ctl, worker):
    process = ctl.start("exec", worker, "-c", "while True: print('y' * 100)")
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(PATIENCE) == 141
    assert process.stderr.read() == ""
    wait_until(lambda: ctl.json("get", worker)["state"] == "ACTIVE")


def test_exec_reads_files_here(ctl, worker, directory):
    (directory / "where.py").write_text("print(__file__)\n")
    assert ctl("exec", worker, "where.py", cwd=directory).stdout == f"{directory}/where.py\n"
    assert "no_such_file.py" in ctl("exec", worker, "no_such_file.py", cwd=directory, code=4).stderr
    (directory / "latin.py").write_bytes(b"# -*- coding: latin-1 -*-\nprint('caf\xe9')\n")
    assert ctl("exec", worker, "latin.py", cwd=directory).stdout == "café\n"
    (directory / "bad.py").write_bytes(b"print('caf\xe9')\n")
    assert "SyntaxError" in ctl("exec", worker, "bad.py", cwd=directory, code=1).stderr


def test_timeout(ctl, worker):
    failed = ctl("--timeout", "0.3", "exec", worker, "-c", "import time; time.sleep(3600)", code=6)
    assert failed.stderr
    wait_until(lambda: ctl.json("get", worker)["state"] == "ACTIVE")
    assert ctl("exec", worker, "-c", "print(1)").stdout == "1\n"


# ---- Ctrl-C ----------------------------------------------------------------------------------------------------------

def test_ctrl_c_lets_the_code_finish_its_business(ctl, worker):
    process = ctl.start("exec", worker, "-c",
                        "import time\n"
                        "try:\n"
                        "    print('begun', flush=True)\n"
                        "    time.sleep(3600)\n"
                        "except KeyboardInterrupt:\n"
                        "    print('cleaned up')\n"
                        "    raise SystemExit(7)\n")
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE) == 7
    assert process.stdout.read() == "cleaned up\n"


def test_a_second_ctrl_c_leaves(ctl, worker):
    process = ctl.start("exec", worker, "-c",
                        "import time\n"
                        "for i in range(2):\n"
                        "    try:\n"
                        "        print('again', flush=True)\n"
                        "        time.sleep(3600)\n"
                        "    except KeyboardInterrupt:\n"
                        "        pass\n"
                        "print('never seen')\n")
    assert process.stdout.readline() == "again\n"
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "again\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE) == 130


def test_ctrl_c_spares_the_work_of_others(ctl, worker):
    other = ctl.start("exec", worker, "-c", "import time; print('mine', flush=True); time.sleep(3600)")
    assert other.stdout.readline() == "mine\n"
    queued = ctl.start("exec", worker, "-c", "print('never')")
    wait_until(lambda: int(ctl.json("get", worker)["pending_count"]) == 2)
    queued.send_signal(signal.SIGINT)
    assert queued.wait(PATIENCE) == 130
    assert queued.stdout.read() == ""
    assert other.poll() is None
    ctl("interrupt", worker)
    assert other.wait(PATIENCE) == 1


def test_ctrl_c_ends_a_call(ctl, worker):
    ctl("exec", worker, "-c", "import time\ndef f(): time.sleep(3600)")
    process = ctl.start("call", worker, "f")
    wait_until(lambda: ctl.json("get", worker)["state"] == "RUNNING")
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE) == 130
    wait_until(lambda: ctl.json("get", worker)["state"] == "ACTIVE")


def test_interrupt(ctl, worker):
    assert ctl("interrupt", worker).stdout == "nothing runs\n"
    process = ctl.start("exec", worker, "-c", "import time; print(1, flush=True); time.sleep(3600)")
    process.stdout.readline()
    assert ctl.json("interrupt", worker) == {"interrupted": True}
    assert process.wait(PATIENCE) == 1
    assert "KeyboardInterrupt" in process.stderr.read()


# ---- call ------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("args, result", [
    (["math:hypot", "3", "4"], "5.0"),
    (["json:dumps", '{"a": [1, null]}', "--kwarg", "indent=1"], json.dumps(json.dumps({"a": [1, None]}, indent=1))),
    (["builtins:len", "[1, 2, 3]"], "3"),
    (["builtins:str.upper", "two words"], '"TWO WORDS"'),
    (["builtins:pow", "2", "200"], str(2**200)),
    (["builtins:abs", str(-(10**50))], str(10**50)),
    (["builtins:float", "nan"], "NaN"),
    (["builtins:abs", "--", "-Infinity"], "Infinity"),
    (["builtins:divmod", "-7", "2"], "[-4, 1]"),
    (["builtins:type", '"x"'], None),
    (["builtins:list", '{"$bytes": "AP8="}'], "[0, 255]"),
    (["builtins:bytes", "[0, 255]"], '{"$bytes": "AP8="}'),
    (["builtins:sorted", '{"$set": [3, 1, 2]}'], "[1, 2, 3]"),
    (["builtins:dict", '[[1, "one"], [2.5, null]]'], '{"$dict": [[1, "one"], [2.5, null]]}'),
    (["builtins:complex", "1", "-2"], '{"$complex": [1.0, -2.0]}'),
    (["builtins:chr", "55296"], '"\\ud800"'),
    (["builtins:isinstance", "true", "5"], None),
])
def test_call(ctl, worker, args, result):
    if result is None:
        assert ctl("call", worker, *args, code=1 if "isinstance" in args[0] else 5).stderr
    else:
        assert ctl("call", worker, *args).stdout == result + "\n"


def test_call_of_a_name_in_main(ctl, worker):
    ctl("exec", worker, "-c", "def f(*args, **kwargs):\n    print('said')\n    return [args, kwargs]")
    done = ctl("call", worker, "f", "1", "word", "-k", "a=[1, 2]", "--kwarg", "b=x=y")
    assert json.loads(done.stdout) == [[1, "word"], {"a": [1, 2], "b": "x=y"}]
    assert done.stderr == "said\n"  # standard output is for the result
    assert json.loads(ctl("-o", "json", "call", worker, "f").stdout)["result"]["container"] == "LIST"


def test_call_that_fails(ctl, worker):
    assert "ZeroDivisionError" in ctl("call", worker, "builtins:divmod", "1", "0", code=1).stderr
    assert "no_such_function" in ctl("call", worker, "math:no_such_function", code=4).stderr
    assert ctl("call", worker, "math:pi", code=2).stderr
    assert ctl("call", worker, "builtins:object", code=5).stderr
    assert "not JSON" in ctl("call", worker, "builtins:len", "[1", code=2).stderr
    assert "64 levels" in ctl("call", worker, "builtins:len", "[" * 100_000, code=2).stderr
    assert "K=V" in ctl("call", worker, "builtins:len", "-k", "x", code=2).stderr


def test_call_with_the_deepest_value(ctl, worker):
    value = "[" * 64 + "]" * 64
    assert ctl("call", worker, "copy:copy", value).stdout.strip() == value


def test_source_that_fits_no_message(ctl, worker, directory):
    (directory / "huge.py").write_bytes(b"x=1;" * (17 << 20))
    failed = ctl("exec", worker, directory / "huge.py", code=5)
    assert re.search(r"the request has \d+ bytes, and a message may have 67108864; let the code read", failed.stderr)
    assert ctl("exec", worker, "-c", "print(1)").stdout == "1\n"


# ---- run -------------------------------------------------------------------------------------------------------------

def test_run_is_what_python_does(ctl, directory):
    scripts = directory / "scripts"
    scripts.mkdir()
    (scripts / "helper.py").write_text("def help(): return 'helped'\n")
    (scripts / "main.py").write_text(
        "import atexit, helper, os, sys, threading, time\n"
        "print(helper.help(), __name__, __file__, sys.argv, os.getcwd() )\n"
        "atexit.register(print, 'at exit')\n"
        "def late():\n"
        "    time.sleep(0.2)\n"
        "    print('from a thread')\n"
        "threading.Thread(target=late).start()\n"
        "sys.stderr.write('error\\n')\n"
        "sys.exit(4)\n")
    ours = ctl("run", scripts / "main.py", "-q", "x", cwd=directory, code=4)
    python = subprocess.run(["python3", scripts / "main.py", "-q", "x"], cwd=directory, capture_output=True, text=True)
    assert python.returncode == 4
    assert (ours.stdout, ours.stderr) == (python.stdout, python.stderr)
    assert ctl("list", "-q").stdout == ""


def test_run_of_code_and_standard_input(ctl):
    assert ctl("run", "-c", "import sys; print(sys.argv)", "--help").stdout == "['-c', '--help']\n"
    assert ctl("run", "-", "a", stdin="import sys; print(sys.argv[1])\n").stdout == "a\n"
    assert "ZeroDivisionError" in ctl("run", "-c", "1/0", code=1).stderr
    assert ctl("list", "-q").stdout == ""


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_run_closes_when_it_is_told_to_end(ctl, number, code):
    process = ctl.start("run", "-c", "import time; print(1, flush=True); time.sleep(3600)")
    process.stdout.readline()
    process.send_signal(number)
    assert process.wait(PATIENCE) == code
    assert ctl("list", "-q").stdout == ""


def test_run_into_a_pipe_that_closes(ctl):
    process = ctl.start("run", "-c", "while True: print('y' * 100)")
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(PATIENCE) == 141
    assert ctl("list", "-q").stdout == ""


# ---- logs ------------------------------------------------------------------------------------------------------------

BACKGROUND = """
import threading
go = threading.Event()
def background():
    go.wait()
    print('from the background', flush=True)
threading.Thread(target=background, daemon=True).start()
"""


def test_logs(ctl, worker):
    assert ctl("logs", worker).stdout == ""
    ctl("exec", worker, "-c", BACKGROUND)
    ctl("exec", worker, "-c", "threading.Timer(0.2, go.set).start()")
    wait_until(lambda: ctl("logs", worker).stdout == "from the background\n")
    line = json.loads(ctl("logs", worker, "-o", "json").stdout)
    assert line["output"]["stream"] == "STDOUT"


def test_logs_follow_until_the_interpreter_is_closed(ctl, worker):
    ctl("exec", worker, "-c", BACKGROUND)
    process = ctl.start("logs", worker, "--follow")
    ctl("exec", worker, "-c", "threading.Timer(0.2, go.set).start()")
    assert process.stdout.readline() == "from the background\n"
    assert process.poll() is None
    ctl("close", worker)
    assert process.wait(PATIENCE) == 0


def test_logs_follow_until_ctrl_c(ctl, worker):
    ctl("exec", worker, "-c", BACKGROUND)
    process = ctl.start("logs", worker, "-f")
    ctl("exec", worker, "-c", "threading.Timer(0.2, go.set).start()")
    assert process.stdout.readline() == "from the background\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE) == 130


# ---- repl ------------------------------------------------------------------------------------------------------------

def test_repl_reads_a_pipe(ctl, worker):
    done = ctl("repl", worker, stdin="x = 6\nx * 7\nfor i in range(2):\n    print(i)\n\n1/0\n'after'\n")
    assert done.stdout == "42\n0\n1\n'after'\n"
    assert "ZeroDivisionError" in done.stderr
    assert ctl("repl", worker, stdin="if x:\n    print('open block')").stdout == "open block\n"
    ctl("repl", worker, stdin="raise SystemExit(3)\nprint('never')", code=3)
    assert ctl("repl", worker, stdin="exit()\nprint('never')").stdout == ""
    assert ctl("exec", worker, "-c", "print(x)").stdout == "6\n"


def test_repl_on_a_terminal(ctl, worker, directory):
    terminal = Terminal(ctl, "repl", worker, XDG_STATE_HOME=str(directory / "state"))
    terminal.expect(r"Python 3\.14")
    terminal.expect(r">>> ")
    terminal.type("6 * 7\n")
    terminal.expect(r"\n42\r\n")
    terminal.expect(r">>> ")
    terminal.type("def f():\n")
    terminal.expect(r"\.\.\. ")
    terminal.type("\treturn 'żółć'\n")
    terminal.expect(r"\.\.\. ")
    terminal.type("\n")
    terminal.expect(r">>> ")
    terminal.type("f()\n")
    terminal.expect(r"\n'żółć'\r\n")
    terminal.expect(r">>> ")
    # Ctrl-C gives a line up.
    terminal.type("1 +\x03")
    terminal.expect(r"KeyboardInterrupt\r\n")
    terminal.expect(r">>> ")
    # Ctrl-C interrupts what runs.
    terminal.type("import time; print('be' 'gun', flush=True); time.sleep(3600)\n")
    terminal.expect(r"\nbegun\r\n")
    terminal.type("\x03")
    terminal.expect(r"KeyboardInterrupt\r\n")
    terminal.expect(r">>> ")
    # The line before last comes back from the history.
    terminal.type("5 * 5\n")
    terminal.expect(r"\n25\r\n")
    terminal.expect(r">>> ")
    terminal.type("\x1b[A\n")
    terminal.expect(r"\n25\r\n")
    terminal.expect(r">>> ")
    terminal.type("\x04")
    assert terminal.exit_code() == 0
    assert "5 * 5".replace(" ", "\\040") in (directory / "state/interpd/history").read_text()


@pytest.mark.parametrize("typed", ["\x04", "6 * 7\n\x04"])
def test_repl_on_a_terminal_is_left_by_a_ctrl_d_typed_too_early(ctl, worker, directory, typed):
    terminal = Terminal(ctl, "repl", worker, XDG_STATE_HOME=str(directory / "state"))
    terminal.expect(r">>> ")
    terminal.type("print('be' 'gun', flush=True); import time; time.sleep(0.5)\n")
    terminal.expect(r"\nbegun\r\n")
    terminal.type(typed)
    assert terminal.exit_code() == 0


def test_progress_on_a_terminal(ctl):
    terminal = Terminal(ctl, "create", "--count", "3")
    terminal.expect(r"created \d of 3")
    assert terminal.exit_code() == 0


# ---- the daemon ------------------------------------------------------------------------------------------------------

def test_info(ctl, worker):
    info = ctl.json("info")
    assert info["version"] and info["python_version"].startswith("3.14") and info["interpreter_count"] == "1"
    assert "Interpreters:" in ctl("info").stdout


def test_no_daemon(directory):
    nobody = Ctl(f"unix:{directory}/nobody.sock")
    assert f"interpd --listen unix:{directory}/nobody.sock" in nobody("list", code=3).stderr
    assert "unix:PATH" in nobody("--address", "nonsense", "list", code=2).stderr


def test_drain(directory):
    (directory / "drain").mkdir()
    daemon = Daemon(directory / "drain")
    ctl = Ctl(daemon.address)
    ctl("create", "a")
    running = ctl.start("exec", "a", "-c", "import time; print(1, flush=True); time.sleep(3600)")
    running.stdout.readline()
    ctl("drain", "--grace", "1")
    assert ctl("create", "b", code=5).stderr
    assert daemon.process.wait(PATIENCE) == 0
    daemon.process.stderr.close()
    assert running.wait(PATIENCE) != 0
    ctl("list", code=3)


def test_a_daemon_that_dies(directory):
    (directory / "dies").mkdir()
    daemon = Daemon(directory / "dies")
    ctl = Ctl(daemon.address)
    ctl("create", "a")
    running = ctl.start("exec", "a", "-c", "import time; print(1, flush=True); time.sleep(3600)")
    running.stdout.readline()
    daemon.process.kill()
    daemon.process.communicate()
    assert running.wait(PATIENCE) == 3
    assert running.stderr.read()


def test_over_tcp_with_tls(directory):
    (directory / "tls").mkdir()
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes",
                    "-keyout", "key.pem", "-out", "cert.pem", "-subj", "/CN=localhost", "-days", "2",
                    "-addext", "subjectAltName=DNS:localhost"],
                   cwd=directory / "tls", check=True, capture_output=True)
    port = free_port()
    cert, key = directory / "tls/cert.pem", directory / "tls/key.pem"
    # The daemon asks for a certificate of ours too; this one signs itself.
    daemon = Daemon(directory / "tls", "--listen", f"localhost:{port}", "--tls-cert", cert, "--tls-key", key,
                    "--tls-client-ca", cert)
    ctl = Ctl(f"localhost:{port}")
    ours = ["--tls-cert", cert, "--tls-key", key]
    assert ctl("--tls-ca", cert, *ours, "create", "a").stdout == "a\n"
    assert ctl("--tls-ca", cert, "list", code=3).stderr  # without a certificate of ours
    assert ctl(*ours, "list", code=3).stderr  # the daemon's is not trusted
    assert ctl("--insecure", "--connect-timeout", "1", "list", code=3).stderr
    assert "its key" in ctl("--tls-cert", cert, "list", code=2).stderr
    assert "nothing.pem" in ctl("--tls-ca", "nothing.pem", "list", code=2).stderr
    assert "TLS" in ctl("--address", "192.0.2.1:1", "--insecure", "list", code=2).stderr
    assert daemon.stop() == 0


def free_port():
    import socket
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        return listener.getsockname()[1]


# ---- the command line ------------------------------------------------------------------------------------------------

def test_usage(ctl):
    assert "did you mean \"list\"" in ctl("lsit", code=2).stderr
    assert ctl(code=2).stderr
    assert ctl("close", code=2).stderr
    assert ctl("exec", "a", code=2).stderr
    assert ctl("list", "--nonsense", code=2).stderr


def test_help_and_version(ctl):
    top = ctl("--help")
    assert top.stderr == "" and "interpctl create worker\n" in top.stdout
    assert re.fullmatch(r"interpctl \d+\.\d+\.\d+\n", ctl("--version").stdout)
    for command in re.findall(r"^  (\w+)  ", top.stdout.split("COMMANDS:")[1], re.M):
        assert f"interpctl {command}" in ctl(command, "--help").stdout


def test_completion(ctl, worker):
    for shell in ("bash", "zsh", "fish"):
        assert "interpctl" in ctl("completion", shell).stdout
    script = ctl("completion", "bash").stdout + """
COMP_WORDS=(interpctl get wo); COMP_CWORD=2; _interpctl; echo "${COMPREPLY[@]}"
"""
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True,
                          env={**ctl.environment, "PATH": os.path.dirname(INTERPCTL) + ":" + os.environ["PATH"]})
    assert done.stdout == "worker\n", done
