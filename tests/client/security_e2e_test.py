"""Who may use the daemon: certificates, tokens, users of the system, roles, limits; and what the audit log says."""

import json
import os
import shutil
import signal
import subprocess
import tempfile

import pytest

import interpctl
from interpctl import INTERPCTL, INTERPD, Ctl, directory, wait_until  # noqa: F401

ALICE, BOB, CAROL = 4241, 4242, 4243  # nobody has an account of that number


def openssl(*args, **options):
    return subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True, text=True,
                          errors="replace", **options).stdout


class Authority:
    """A CA of the test's own, and certificates that it signs."""

    def __init__(self, directory, name):
        self.directory, self.name = directory, name
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", 2,
                "-subj", f"/CN={name}", "-keyout", self.file("key"), "-out", self.file("pem"))

    def file(self, suffix, name=None):
        return self.directory / f"{name or self.name}.{suffix}"

    def make(self, name, common_name, expired=False):
        """The certificate and its key."""
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj",
                f"/CN={common_name}", "-keyout", self.file("key", name), "-out", self.file("csr", name))
        extensions = self.file("ext", name)
        extensions.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        time = ["-not_before", "20200101000000Z", "-not_after", "20200102000000Z"] if expired else ["-days", 2]
        openssl("x509", "-req", "-in", self.file("csr", name), "-CA", self.file("pem"), "-CAkey", self.file("key"),
                "-CAcreateserial", *time, "-extfile", extensions, "-out", self.file("pem", name))
        return self.file("pem", name), self.file("key", name)


class TcpDaemon:
    def __init__(self, *args):
        self.process = subprocess.Popen([INTERPD, "--listen", "127.0.0.1:0", *map(str, args)], stderr=subprocess.PIPE,
                                        text=True)
        for line in self.process.stderr:
            if "interpd: ready" in line:
                self.address = line.split()[-1]
                return
        raise AssertionError("the daemon did not get ready")

    def stop(self):
        self.process.terminate()
        self.process.communicate(timeout=interpctl.PATIENCE)
        return self.process.returncode


@pytest.fixture(scope="module")
def authority(directory):
    return Authority(directory, "ca")


@pytest.fixture(scope="module")
def tokens(directory):
    """Files with a token each, by principal; and the daemon's file of them."""
    book = directory / "tokens"
    made = {"book": book}
    for principal, role in (("vera", "viewer"), ("alice", "user"), ("bob", "user"), ("ada", "admin")):
        done = subprocess.run([INTERPCTL, "token", "create", "-q", "--principal", principal, "--role", role, "--file",
                               book], check=True, capture_output=True, text=True)
        made[principal] = directory / f"{principal}.token"
        made[principal].write_text(done.stdout)
    return made


@pytest.fixture(scope="module")
def tcp(directory, authority, tokens):
    cert, key = authority.make("server", "localhost")
    daemon = TcpDaemon("--tls-cert", cert, "--tls-key", key, "--tls-client-ca", authority.file("pem"), "--token-file",
                       tokens["book"], "--audit-file", directory / "audit.json")
    yield daemon
    assert daemon.stop() == 0


@pytest.fixture
def ask(tcp, authority):
    """interpctl over TLS, with these options."""
    def ask(*args, code=0, ca=None):
        return Ctl(tcp.address)("--tls-ca", ca or authority.file("pem"), "--connect-timeout", "10s", *args, code=code)
    return ask


def test_no_credentials(ask):
    done = ask("info", code=5)
    assert "nothing says on whose behalf this call is" in done.stderr


def test_tokens(ask, tokens, directory):
    assert "version" in ask("--token-file", tokens["vera"], "info").stdout.lower()
    bad = directory / "bad.token"
    bad.write_text("interpd_" + "A" * 43)
    assert ask("--token-file", bad, "info", code=5)
    bad.write_text("x" * 5000)
    assert ask("--token-file", bad, "info", code=5)


def test_a_certificate_of_the_ca_is_good_and_others_are_not(ask, authority, directory):
    cert, key = authority.make("friend", "friend.example")
    ask("--tls-cert", cert, "--tls-key", key, "list")
    cert, key = authority.make("expired", "friend.example", expired=True)
    ask("--tls-cert", cert, "--tls-key", key, "list", code=3)
    stranger = Authority(directory, "stranger")
    cert, key = stranger.make("foe", "friend.example")
    ask("--tls-cert", cert, "--tls-key", key, "list", code=3)
    # The other way round: the client does not trust the daemon.
    ask("list", ca=stranger.file("pem"), code=3)


def test_tls_1_3_at_least(tcp, authority):
    def shake(version):
        return subprocess.run(["openssl", "s_client", "-connect", tcp.address, "-CAfile", authority.file("pem"),
                               "-alpn", "h2", version], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              errors="replace")
    assert "TLSv1.3" in shake("-tls1_3").stdout
    assert shake("-tls1_2").returncode != 0
    # Hosted code is not told of it.
    environment = open(f"/proc/{tcp.process.pid}/environ").read()
    assert "CIPHER" not in environment


def test_roles(ask, tokens):
    vera, alice, bob, ada = (["--token-file", tokens[who]] for who in ("vera", "alice", "bob", "ada"))
    ask(*alice, "create", "one")
    ask(*bob, "create", "one")
    ask(*ada, "create", "one")
    ask(*alice, "exec", "one", "-c", "secret = 1")
    assert ask(*alice, "list", "-q").stdout.split() == ["one"]
    assert set(ask(*vera, "list", "-q").stdout.split()) == {"one", "token:alice/one", "token:bob/one"}
    assert ask(*vera, "exec", "one", "-c", "1", code=5)
    assert ask(*vera, "create", "mine", code=5)
    assert ask(*alice, "drain", code=5)
    assert ask(*bob, "exec", "one", "-c", "print('secret' in globals())").stdout == "False\n"
    # A foreign name is answered as one that is none.
    foreign = ask(*bob, "exec", "interpreters/token:alice/one", "-c", "1", code=2).stderr
    assert foreign.replace("alice", "nobody") == ask(*bob, "exec", "interpreters/token:nobody/one", "-c", "1",
                                                     code=2).stderr
    assert ask(*ada, "exec", "token:alice/one", "-c", "print(secret)").stdout == "1\n"
    for name in ("one", "token:alice/one", "token:bob/one"):
        ask(*ada, "close", name)


def test_certificates_and_tokens_reload(ask, tcp, authority, tokens, directory):
    def serial():
        pem = openssl("s_client", "-connect", tcp.address, "-alpn", "h2", "-tls1_3", stdin=subprocess.DEVNULL)
        return openssl("x509", "-noout", "-serial", input=pem)
    def create(principal):
        done = subprocess.run([INTERPCTL, "token", "create", "-q", "--principal", principal, "--role", "user", "--file",
                               tokens["book"]], check=True, capture_output=True, text=True)
        path = directory / f"{principal}.token"
        path.write_text(done.stdout)
        return path
    before = serial()
    authority.make("server", "localhost")
    carl = create("carl")
    ask("--token-file", carl, "list", code=5)
    tcp.process.send_signal(signal.SIGHUP)
    wait_until(lambda: serial() != before)
    ask("--token-file", carl, "list")
    listed = subprocess.run([INTERPCTL, "token", "list", "--file", tokens["book"]], capture_output=True, text=True)
    assert " carl" in listed.stdout and carl.read_text().strip() not in tokens["book"].read_text()
    subprocess.run([INTERPCTL, "token", "revoke", "carl", "--file", tokens["book"]], check=True)
    ask("--token-file", carl, "list")
    tcp.process.send_signal(signal.SIGHUP)
    wait_until(lambda: Ctl(tcp.address).start("--tls-ca", str(authority.file("pem")), "--token-file", str(carl),
                                              "list").wait() == 5)
    # What is wrong changes nothing.
    good = authority.file("pem", "server").read_text()
    authority.file("pem", "server").write_text("nonsense")
    now = serial()
    tcp.process.send_signal(signal.SIGHUP)
    ask("--token-file", tokens["ada"], "list")
    assert serial() == now
    authority.file("pem", "server").write_text(good)


def test_root_is_told_that_the_daemon_may_not_read_its_file_of_tokens(directory):
    if os.getuid() != 0:
        pytest.skip("only root makes files of root")
    book = directory / "book of root"

    def said():
        return subprocess.run([INTERPCTL, "token", "create", "--principal", "a", "--role", "user", "--file", book],
                              check=True, capture_output=True, text=True).stderr

    assert f"chown interpd {book}\n" in said()
    os.chown(book, ALICE, ALICE)
    assert "chown" not in said()


def test_the_audit_log(ask, tokens, directory):
    ask("--token-file", tokens["alice"], "create", 'audited')
    ask("--token-file", tokens["alice"], "close", "audited")
    ask("--token-file", tokens["vera"], "drain", code=5)
    def lines():
        return [json.loads(line) for line in (directory / "audit.json").read_text().splitlines()]
    wait_until(lambda: any(line["method"] == "interpd.v1.Admin/Drain" and line.get("principal") == "token:vera"
                           for line in lines()))
    made = [line for line in lines() if line.get("resource") in ("audited", "interpreters/audited")]
    assert [(line["method"].rpartition("/")[2], line["status"], line["principal"]) for line in made] == [
        ("Create", "BEGUN", "token:alice"), ("Create", "OK", "token:alice"), ("Close", "OK", "token:alice")]
    assert all(line["peer"].startswith("ipv4:127.0.0.1:") and line["request_id"] for line in made)
    refused = [line for line in lines() if line["status"] == "PERMISSION_DENIED"]
    assert refused[-1]["reason"] == "NOT_PERMITTED" and refused[-1]["role"] == "viewer"
    assert any(line["status"] == "UNAUTHENTICATED" and "principal" not in line for line in lines())
    assert not any(line["method"].endswith("/List") and line["status"] == "OK" for line in lines())


def test_tls_without_a_way_to_know_clients_is_refused(directory, authority):
    cert, key = authority.make("alone", "localhost")
    done = subprocess.run([INTERPD, "--listen", "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key],
                          capture_output=True, text=True)
    assert done.returncode == 1 and "without a way to know clients" in done.stderr
    done = subprocess.run([INTERPD, "--listen", "127.0.0.1:0", "--tls-cert", cert, "--tls-key",
                           authority.file("key"), "--tls-client-ca", authority.file("pem")],
                          capture_output=True, text=True)
    assert done.returncode == 1 and "is not the key of" in done.stderr


# ---- users of the system ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shared():
    """A daemon that three users share, each with what it may; its directory, which they can enter."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to become others")
    path = tempfile.mkdtemp(prefix="ishr", dir="/tmp")
    os.chmod(path, 0o755)
    config = os.path.join(path, "config.toml")
    with open(config, "w") as file:
        file.write(f"""
socket_mode = "0666"
[[access.rule]]
unix_user = "{ALICE}"
role = "user"
max_interpreters = 2
[[access.rule]]
unix_group = "{BOB}"
role = "user"
max_in_flight = 2
requests_per_second = 0.5
max_message_bytes = 10000
""")
    shutil.copy(INTERPCTL, path)  # where other users can run it
    daemon = interpctl.Daemon(path, "--config", config)
    yield daemon, path, config
    assert daemon.stop() == 0
    shutil.rmtree(path)


def run_as(uid, shared, *args, code=0, stdin=""):
    daemon, path, _ = shared
    done = subprocess.run([os.path.join(path, "interpctl"), *args], user=uid, group=uid, extra_groups=[], input=stdin,
                          env={**os.environ, "INTERPD_ADDRESS": daemon.address, "HOME": "/"}, cwd="/",
                          capture_output=True, text=True, timeout=interpctl.PATIENCE)
    assert code is None or done.returncode == code, (args, done)
    return done


def test_users_by_their_number(shared):
    run_as(ALICE, shared, "create", "a")
    assert run_as(ALICE, shared, "list", "-q").stdout == "a\n"
    assert run_as(BOB, shared, "list", "-q").stdout == ""
    assert run_as(0, shared, "list", "-q").stdout == f"unix:{ALICE}/a\n"
    assert run_as(CAROL, shared, "list", code=3)
    # As many as she may have.
    run_as(ALICE, shared, "create", "b")
    assert "as many as it may" in run_as(ALICE, shared, "create", "c", code=5).stderr
    run_as(ALICE, shared, "close", "a", "b")


def test_limits_of_rate_and_size(shared):
    wait_until(lambda: run_as(BOB, shared, "create", "x", code=None).returncode == 0)
    outcomes = [run_as(BOB, shared, "list", code=None) for _ in range(5)]
    limited = [done for done in outcomes if done.returncode == 5]
    assert limited and "requests a second" in limited[0].stderr
    wait_until(lambda: "over the limit of 10000" in run_as(
        BOB, shared, "exec", "x", "-c", "#" * 20_000, code=None).stderr)
    # Alice is not held up by that.
    for _ in range(10):
        run_as(ALICE, shared, "list")
    wait_until(lambda: run_as(BOB, shared, "close", "x", code=None).returncode == 0)


def test_rules_reload(shared):
    daemon, _, config = shared
    text = open(config).read()
    with open(config, "w") as file:
        file.write(text.replace(f'unix_user = "{ALICE}"', f'unix_user = "{CAROL}"'))
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: run_as(CAROL, shared, "list", code=None).returncode == 0)
    run_as(ALICE, shared, "list", code=3)
    with open(config, "w") as file:
        file.write(text)
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: run_as(ALICE, shared, "list", code=None).returncode == 0)
