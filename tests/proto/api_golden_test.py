"""The API is the one in api.golden, which only tests/proto/regenerate changes."""

import pathlib
import re
import sys

import pytest

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE))

import api  # noqa: E402

PROTO_ROOT = HERE.parent.parent / "proto"
GOLDEN = (HERE / "api.golden").read_text().splitlines()

SMALL = """
syntax = "proto3";
package interpd.v1;
service S { rpc Go(A) returns (stream A); }
message A { int32 x = 1; repeated string y = 2; oneof o { bool z = 3; } enum E { E_ZERO = 0; E_ONE = 1; } E e = 4; }
"""


def describe_text(directory: pathlib.Path, text: str) -> list[str]:
    (directory / "interpd/v1").mkdir(parents=True, exist_ok=True)
    (directory / "interpd/v1/a.proto").write_text(text)
    return api.describe(directory)


def test_api_is_the_golden_one():
    now = api.describe(PROTO_ROOT)
    broken = api.breaking_changes(GOLDEN, now)
    assert not broken, "clients break without:\n  " + "\n  ".join(broken)
    added = api.breaking_changes(now, GOLDEN)
    assert not added, "new; run tests/proto/regenerate and commit api.golden:\n  " + "\n  ".join(added)


@pytest.mark.parametrize(
    "old, new",
    [
        ("int32 x = 1", "int64 x = 1"),
        ("int32 x = 1", "int32 x = 7"),
        ("int32 x = 1", "int32 renamed = 1"),
        ("int32 x = 1;", ""),
        ("repeated string y", "string y"),
        ("oneof o { bool z = 3; }", "bool z = 3;"),
        ("E_ONE = 1", "E_ONE = 2"),
        ("returns (stream A)", "returns (A)"),
        ("rpc Go", "rpc Went"),
    ],
)
def test_a_breaking_change_is_seen(tmp_path, old, new):
    assert old in SMALL
    before = describe_text(tmp_path, SMALL)
    assert api.breaking_changes(before, describe_text(tmp_path, SMALL.replace(old, new)))


@pytest.mark.parametrize(
    "old, new",
    [
        ("int32 x = 1;", "int32 x = 1; int32 more = 9;"),
        ("int32 x = 1;", "// A comment.\nint32 x = 1;"),
        ("E_ONE = 1;", "E_ONE = 1; E_TWO = 2;"),
        ("service S {", "service S { rpc Another(A) returns (A);"),
    ],
)
def test_an_addition_is_none(tmp_path, old, new):
    assert old in SMALL
    before = describe_text(tmp_path, SMALL)
    after = describe_text(tmp_path, SMALL.replace(old, new))
    assert not api.breaking_changes(before, after)


def test_every_rpc_says_what_it_does():
    silent = []
    for path in sorted(PROTO_ROOT.glob("interpd/**/*.proto")):
        lines = path.read_text().splitlines()
        assert lines[0].startswith("// "), f"{path.name} does not open with what it is"
        for before, line in zip(lines, lines[1:]):
            if re.match(r"\s*rpc ", line) and not before.strip().startswith("//"):
                silent.append(f"{path.name}: {line.strip()}")
    assert not silent


def test_every_error_reason_names_its_status():
    """error_reason.proto is the table by which daemon and clients agree."""
    text = (PROTO_ROOT / "interpd/v1/error_reason.proto").read_text()
    entries = re.findall(r"((?:  //[^\n]*\n)+)  ([A-Z_]+) = (\d+);", text)
    assert len(entries) >= 10
    for comment, name, _ in entries:
        assert re.search(r"\b(INVALID_ARGUMENT|NOT_FOUND|ALREADY_EXISTS|FAILED_PRECONDITION|RESOURCE_EXHAUSTED|"
                         r"CANCELLED|UNAVAILABLE|UNAUTHENTICATED|PERMISSION_DENIED|INTERNAL|DEADLINE_EXCEEDED)\b",
                         comment), name
