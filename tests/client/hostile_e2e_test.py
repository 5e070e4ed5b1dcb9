"""Clients that mean no good, over a real socket: they are refused, others are answered meanwhile, and what they took
comes back."""

import contextlib
import os
import resource
import socket
import struct
import time

import grpc
import pytest

import interpctl
from interpctl import Ctl, Daemon, ctl, daemon, directory, wait_until  # noqa: F401

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS, HEADERS, CONTINUATION, PING = 4, 1, 9, 6
END_HEADERS = 4


def varint(number):
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def field(number, content):
    """A protobuf field of bytes, text or a message."""
    if isinstance(content, str):
        content = content.encode()
    return varint(number << 3 | 2) + varint(len(content)) + content


def integer(number, value):
    return varint(number << 3) + varint(value)


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def header(name, value):
    """Literal, without indexing and Huffman codes."""
    def text(content):
        length = len(content)
        if length < 127:
            return bytes([length]) + content
        return b"\x7f" + varint(length - 127) + content
    return b"\0" + text(name) + text(value)


@pytest.fixture
def rpc(daemon):
    channel = grpc.insecure_channel(daemon.address, options=[("grpc.max_metadata_size", 1 << 24),
                                                             ("grpc.use_local_subchannel_pool", 1)])
    def call(method, request, metadata=None, timeout=interpctl.PATIENCE):
        """The answer's bytes, or the status code that it failed with."""
        try:
            return channel.unary_unary(f"/interpd.v1.{method}")(request, metadata=metadata, timeout=timeout)
        except grpc.RpcError as error:
            return error.code()
    yield call
    channel.close()


def memory_and_files(pid):
    with open(f"/proc/{pid}/statm") as file:
        pages = int(file.read().split()[1])
    return pages * resource.getpagesize(), len(os.listdir(f"/proc/{pid}/fd"))


def connect(daemon):
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(daemon.address.removeprefix("unix:"))  # blocks while the backlog is full
    sock.settimeout(interpctl.PATIENCE)
    return sock


def is_closed_by_peer(sock):
    """Reads to the end."""
    try:
        while sock.recv(1 << 16):
            pass
    except ConnectionError:
        pass
    except TimeoutError:
        return False
    return True


NAMES = ["", "x", "interpreters/", "interpreters/..", "interpreters/a/b", "interpreters/a\0b", "interpreters//", "/",
         "interpreters/" + "x" * (1 << 20), "../" * 1000, "interpreters/\u202e", "interpreters/~1",
         "interpreters/unix:root/one/two", "channels/x"]


@pytest.mark.parametrize("method,number", [("Interpreters/Get", 1), ("Interpreters/Close", 1), ("Interpreters/Call", 1),
                                           ("Interpreters/Interrupt", 1), ("Interpreters/Create", 1)])
def test_names_that_are_none(rpc, method, number):
    for name in NAMES:
        if method.endswith("Create") and name in ("", "x"):
            continue
        assert rpc(method, field(number, name)) == grpc.StatusCode.INVALID_ARGUMENT, name[:80]


@pytest.mark.parametrize("service,collection", [("Channels", "channels"), ("Constants", "constants")])
def test_names_of_channels_and_constants(rpc, service, collection):
    for name in [name.replace("interpreters", collection) for name in NAMES if name != "channels/x"]:
        if name == "channels/~1":
            continue
        assert rpc(f"{service}/Get", field(1, name)) == grpc.StatusCode.INVALID_ARGUMENT, name[:80]


def test_bytes_that_are_no_message(rpc):
    for method in ("Interpreters/Get", "Interpreters/List", "Channels/Create", "Constants/List", "Admin/Drain"):
        for request in (b"\xff", b"\x0a\xff\xff\xff\xff\x0f", b"\x0a\x05abc", b"\x0f", os.urandom(100) + b"\xff"):
            assert rpc(method, request) == grpc.StatusCode.INVALID_ARGUMENT, (method, request)


def test_enums_that_are_not_known(rpc):
    assert rpc("Channels/Create", field(2, integer(1, 12345))) == grpc.StatusCode.INVALID_ARGUMENT


def test_nesting_bombs(rpc):
    # A list in a list in a list: Value.items (of Value) in the arguments of a call.
    for depth in (100, 5_000):
        value = b""
        for _ in range(depth):
            value = integer(10, 1) + field(11, value)
        outcome = rpc("Interpreters/Call", field(1, "interpreters/x") + field(2, "a:b") + field(3, value))
        assert outcome in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND,
                           grpc.StatusCode.RESOURCE_EXHAUSTED)


def test_methods_that_there_are_not(rpc):
    for method in ("Interpreters/Fly", "Nobody/Get", "Interpreters/", "/", "x" * 1000):
        assert rpc(method, b"") == grpc.StatusCode.UNIMPLEMENTED


def test_slow_clients_hold_nobody_up(daemon, ctl):
    """Some say nothing, some one byte at a time, some begin headers and never end them, some do not read."""
    socks = [connect(daemon) for _ in range(200)]
    for number, sock in enumerate(socks):
        if number % 4 == 1:
            sock.sendall(PREFACE[:number % len(PREFACE)])
        elif number % 4 == 2:
            sock.sendall(PREFACE + frame(SETTINGS, 0, 0) + frame(HEADERS, 0, 1, header(b"a", b"b")))
        elif number % 4 == 3:
            sock.sendall(PREFACE + frame(SETTINGS, 0, 0) + frame(PING, 0, 0, b"01234567") * 100)
    began = time.monotonic()
    for _ in range(5):
        ctl("info")
    assert time.monotonic() - began < 20
    for sock in socks:
        sock.close()


def test_header_floods(daemon, ctl):
    flood = header(b"x", b"y" * 16_000)
    # One request whose headers do not end, until the daemon has enough of it.
    sock = connect(daemon)
    sock.sendall(PREFACE + frame(SETTINGS, 0, 0) + frame(HEADERS, 0, 1, flood))
    with contextlib.suppress(ConnectionError):
        for _ in range(500):
            sock.sendall(frame(CONTINUATION, 0, 1, flood))
        sock.sendall(frame(CONTINUATION, END_HEADERS, 1))
    ctl("info")
    # Many empty continuations; frames of streams that there are not; frames over the size limit.
    for attack in (frame(CONTINUATION, 0, 1) * 10_000, frame(HEADERS, END_HEADERS, 2, header(b"a", b"b")) * 100,
                   b"\xff\xff\xff" + bytes([HEADERS, 4]) + struct.pack(">I", 1) + b"x" * 70_000):
        bad = connect(daemon)
        with contextlib.suppress(ConnectionError):
            bad.sendall(PREFACE + frame(SETTINGS, 0, 0) + frame(HEADERS, 0, 1, header(b"a", b"b")) + attack)
        ctl("info")
        bad.close()
    sock.close()
    memory, _ = memory_and_files(daemon.process.pid)
    assert memory < 1 << 30


def test_too_much_metadata_is_refused(rpc):
    assert rpc("Admin/GetInfo", b"", metadata=[("x", "y" * 100_000)]) == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert isinstance(rpc("Admin/GetInfo", b""), bytes)


def test_thousands_of_idle_connections(directory):
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    (directory / "idle").mkdir()
    daemon = Daemon(directory / "idle")
    ctl = Ctl(daemon.address)
    count = 5000
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 2 * count + 2000:
        pytest.skip("needs more file descriptors than this system gives")
    def open_and_close(count):
        socks = []
        for _ in range(count):
            socks.append(connect(daemon))
            socks[-1].sendall(PREFACE + frame(SETTINGS, 0, 0))
        for sock in socks:
            assert sock.recv(9)  # it is served
        files = memory_and_files(daemon.process.pid)[1]
        began = time.monotonic()
        ctl("info")
        assert time.monotonic() - began < 10
        for sock in socks:
            sock.close()
        return files
    _, files_before = memory_and_files(daemon.process.pid)
    assert open_and_close(count) >= files_before + count
    wait_until(lambda: memory_and_files(daemon.process.pid)[1] <= files_before + 5)
    # Fewer, since a number of a connection rests for a while before it is used again.
    memory = []
    for _ in range(3):
        open_and_close(1000)
        wait_until(lambda: memory_and_files(daemon.process.pid)[1] <= files_before + 5)
        memory.append(memory_and_files(daemon.process.pid)[0])
    assert memory[-1] < memory[0] + (5 << 20), memory
    assert daemon.stop() == 0


def test_more_connections_than_may_be(directory):
    (directory / "few").mkdir()
    config = directory / "few" / "config.toml"
    config.write_text("max_connections = 20\nmax_connections_per_user = 10\n")
    daemon = Daemon(directory / "few", "--config", str(config))
    socks = [connect(daemon) for _ in range(40)]
    for sock in socks:
        sock.settimeout(0.5)
    refused = sum(is_closed_by_peer(sock) for sock in socks)
    assert refused == 30
    for sock in socks:
        sock.close()
    ctl = Ctl(daemon.address)
    def answered():
        done = ctl.start("info")
        done.communicate(timeout=interpctl.PATIENCE)
        return done.returncode == 0
    wait_until(answered)
    assert daemon.stop() == 0
    assert "user 0 has 10 connections" in "".join(daemon.log) or os.geteuid() != 0
