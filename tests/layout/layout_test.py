"""The tree keeps the rules of the house: who includes whom, headers, READMEs, formatting, shell scripts."""

import collections
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent  # in the repository: Bazel's tree of inputs is one of links
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE))

import rules  # noqa: E402

# Lines after which a file should have a reason to be one.
LONG = 400


def tracked_files() -> list[str]:
    """Every file that is, or would be, under version control."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=ROOT, check=True, text=True, stdout=subprocess.PIPE).stdout
    return sorted(path for path in set(listing.splitlines()) if (ROOT / path).is_file())


FILES = tracked_files()


def text_of(path: str) -> str:
    return (ROOT / path).read_text(errors="replace")


def test_the_tree_is_really_there():
    for path in ("channels/value.h", "interp/interpreter.h", "daemon/BUILD.bazel", "client/client.h", "tools/dev"):
        assert path in FILES


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_the_tree_keeps(rule):
    complaints = [complaint for path in FILES for complaint in rule(path, text_of(path))]
    assert not complaints, "\n" + "\n".join(complaints)


GUARD = "#ifndef INTERPD_CHANNELS_A_H_\n#define INTERPD_CHANNELS_A_H_\n#endif  // INTERPD_CHANNELS_A_H_\n"


@pytest.mark.parametrize(
    "rule, path, text",
    [
        (rules.check_includes, "channels/a.cc", '#include "interp/interpreter.h"\n'),
        (rules.check_includes, "channels/a.cc", "#include <grpcpp/grpcpp.h>\n"),
        (rules.check_includes, "interp/a.cc", '#include "daemon/server_state.h"\n'),
        (rules.check_includes, "interp/a.cc", "#include <Python.h>\n"),
        (rules.check_includes, "interp/a.cc", '#include "interpd/v1/value.pb.h"\n'),
        (rules.check_includes, "daemon/a.cc", '#include "client/client.h"\n'),
        (rules.check_includes, "client/a.cc", '#include "interp/interpreter.h"\n'),
        (rules.check_includes, "client/a.cc", '#include "channels/value.h"\n'),
        (rules.check_includes, "tests/a.cc", "#include <Python.h>\n"),
        (rules.check_dependencies, "channels/BUILD.bazel", 'deps = ["//interp:host"]\n'),
        (rules.check_dependencies, "channels/BUILD.bazel", 'deps = ["@system//:grpc"]\n'),
        (rules.check_dependencies, "interp/BUILD.bazel", 'deps = ["//proto:interpd_v1"]\n'),
        (rules.check_dependencies, "client/BUILD.bazel", 'deps = ["//interp:host"]\n'),
        (rules.check_dependencies, "daemon/BUILD.bazel", 'deps = ["@system//:python"]\n'),
        (rules.check_header, "channels/a.h", GUARD),
        (rules.check_header, "channels/b.h", "// B.\n" + GUARD),
        (rules.check_text, "docs/a.md", "a TO" + "DO here\n"),
        (rules.check_text, "docs/a.md", "see /wo" + "rk/main\n"),
        (rules.check_text, "docs/a.md", "trailing \n"),
        (rules.check_text, "docs/a.md", "no newline"),
        (rules.check_text, "interp/a.cc", "// " + "x" * 120 + "\n"),
    ],
)
def test_a_breach_is_seen(rule, path, text):
    assert list(rule(path, text))


@pytest.mark.parametrize(
    "rule, path, text",
    [
        (rules.check_includes, "daemon/a.cc", '#include <string>\n#include "absl/time/time.h"\n'),
        (rules.check_includes, "daemon/a.cc", '#include "interp/work.h"\n#include <grpcpp/grpcpp.h>\n'),
        (rules.check_includes, "interp/python_api.h", "#include <Python.h>\n"),
        (rules.check_dependencies, "interp/BUILD.bazel", 'deps = ["//channels:value", "@system//:python"]\n'),
        (rules.check_dependencies, "channels/BUILD.bazel", 'visibility = ["//daemon:__subpackages__"]\n'),
        (rules.check_header, "channels/a.h", "// A.\n" + GUARD),
    ],
)
def test_what_is_allowed_passes(rule, path, text):
    assert not list(rule(path, text))


def test_every_directory_has_a_readme():
    directories = {path.partition("/")[0] for path in FILES if "/" in path and not path.startswith(".")}
    assert {"channels", "interp", "daemon", "client", "proto", "tests"} <= directories
    assert not sorted(d for d in directories if f"{d}/README.md" not in FILES)


def test_top_level_holds_only_what_belongs_there():
    allowed = set(
        "BUILD.bazel WORKSPACE proto channels interp daemon client tests README.md ARCHITECTURE.md CONTRIBUTING.md "
        "CHANGELOG.md SECURITY.md LICENSE .bazelrc .clang-format .clang-tidy .gitignore .ci docs deploy examples "
        "third_party tools".split()
    )
    assert {path.partition("/")[0] for path in FILES} <= allowed


def test_links_in_documents_lead_somewhere():
    broken = []
    for path in FILES:
        if path.endswith(".md"):
            for target in rules.links(text_of(path)):
                if not (ROOT / pathlib.Path(path).parent / target).exists():
                    broken.append(f"{path}: {target}")
    assert not broken, "\n" + "\n".join(broken)


def test_clang_format_has_nothing_to_say():
    files = [path for path in FILES if path.endswith(rules.CODE) or path.startswith("proto/interpd/")]
    command = [str(ROOT / "tools/format"), "--check", *files]
    result = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "INTERPD_DEV": "test"}, text=True, stderr=subprocess.PIPE
    )
    assert result.returncode == 0, result.stderr


def test_clang_format_check_can_fail(tmp_path):
    (tmp_path / "a.cc").write_text("int   main( ){return 0 ;}\n")
    shutil.copy(ROOT / ".clang-format", tmp_path)
    command = [str(ROOT / "tools/format"), "--check", str(tmp_path / "a.cc")]
    assert subprocess.run(command, env={**os.environ, "INTERPD_DEV": "test"}, stderr=subprocess.DEVNULL).returncode != 0


def test_shellcheck_has_nothing_to_say():
    shells = (b"#!/usr/bin/env bash", b"#!/bin/bash", b"#!/bin/sh")
    scripts = [path for path in FILES if (ROOT / path).read_bytes()[:64].startswith(shells)]
    assert "tools/dev" in scripts and ".ci/run" in scripts
    result = subprocess.run(["shellcheck", *scripts], cwd=ROOT, text=True, stdout=subprocess.PIPE)
    assert result.returncode == 0, result.stdout


def test_report_long_files(capsys):
    """Only reports: a long file may have its reason."""
    code = [path for path in FILES if path.endswith((*rules.CODE, ".py"))]
    lengths = collections.Counter({path: text_of(path).count("\n") for path in code})
    assert lengths
    with capsys.disabled():
        for path, length in lengths.most_common():
            if length > LONG:
                print(f"{path}: {length} lines")
