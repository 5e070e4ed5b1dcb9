"""The rules of the house that a reader of the files can check. Each function looks at one file and yields complaints.

layout_test.py runs them over the repository, and over files that break them.
"""

import re
from collections.abc import Iterator

# What the sources of a directory may include, as path prefixes; C and C++ standard headers and absl/ go everywhere.
# channels <- interp <- daemon -> proto <- client
INCLUDES = {
    "channels": ["channels/"],
    "interp": ["channels/", "interp/"],
    "daemon": [
        "channels/", "interp/", "daemon/", "interpd/v1/", "google/", "grpc", "toml++/", "CLI/", "sqlite3.h", "systemd/",
        "prometheus/", "proto/token_file.h",
    ],
    "client": [
        "client/", "interpd/v1/", "google/", "grpc", "CLI/", "nlohmann/", "toml++/", "yaml-cpp/",
        "editline/", "histedit.h", "proto/token_file.h",
    ],
    "examples": ["examples/", "client/", "interpd/v1/", "google/protobuf/"],
}
# What the targets of a directory may depend on; visibility is left to Bazel, which this does not replace.
DEPENDENCIES = {
    "channels": ["//channels", "@system//:absl"],
    "interp": ["//channels", "//interp", "@system//:absl", "@system//:crypto", "@system//:python"],
    "daemon": ["//channels", "//interp", "//daemon", "//proto", "@system//"],
    "client": ["//client", "//proto", "@system//"],
    "examples": ["//examples", "//client", "//proto", "//daemon:interpd", "@system//:absl"],
}
NOT_OUTSIDE_INTERP = "@system//:python"

# Directories whose headers belong to somebody: what is not listed here is the system's.
OWNED = re.compile(
    r"(channels|interp|daemon|client|examples|tests|interpd|google|grpc|grpcpp|toml\+\+|CLI|nlohmann|editline|yaml-cpp"
    r"|systemd|prometheus)/"
)
OWNED_FILES = {"histedit.h", "Python.h", "sqlite3.h"}

CODE = (".cc", ".h")


def directory_of(path: str) -> str:
    return path.partition("/")[0]


def check_includes(path: str, text: str) -> Iterator[str]:
    """Arrows between directories run one way; CPython has one door."""
    allowed = INCLUDES.get(directory_of(path))
    for number, line in enumerate(text.splitlines(), 1):
        match = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
        if not match:
            continue
        bracket, header = match.groups()
        where = f"{path}:{number}"
        if header == "Python.h" or header.startswith(("cpython/", "internal/pycore")):
            if path != "interp/python_api.h":
                yield f"{where}: only interp/python_api.h includes {header}"
            continue
        if allowed is None:
            continue
        ours = bracket == '"' and not header.startswith("absl/")
        if (ours or OWNED.match(header) or header in OWNED_FILES) and not header.startswith(tuple(allowed)):
            yield f"{where}: {directory_of(path)}/ may not include {header}"


def _is_below(label: str, prefix: str) -> bool:
    return label == prefix or (label.startswith(prefix) and (prefix.endswith("/") or label[len(prefix)] in ":/"))


def check_dependencies(path: str, text: str) -> Iterator[str]:
    """The same for BUILD files."""
    directory = directory_of(path)
    if not path.endswith("BUILD.bazel"):
        return
    # Labels outside deps: who may see, what tools are loaded.
    text = re.sub(r"(?s)(default_visibility|visibility)\s*=\s*\[.*?\]", "", text)
    text = re.sub(r"(?ms)^[A-Z_]+ = \[.*?^\]", "", text)
    text = re.sub(r"load\([^)]*\)", "", text)
    for label in re.findall(r'"((?://|@system//)[^"]*)"', text):
        allowed = DEPENDENCIES.get(directory)
        if allowed and not any(_is_below(label, prefix) for prefix in allowed):
            yield f"{path}: {directory}/ may not depend on {label}"
        elif label == NOT_OUTSIDE_INTERP and directory not in ("interp", "third_party"):
            yield f"{path}: only interp/ may depend on {label}"


def check_header(path: str, text: str) -> Iterator[str]:
    """A header opens with what it is, then its guard."""
    if not path.endswith(".h"):
        return
    guard = "INTERPD_" + re.sub(r"[^A-Za-z0-9]", "_", path).upper() + "_"
    if f"#ifndef {guard}\n#define {guard}\n" not in text:
        yield f"{path}: no include guard {guard}"
    if not text.startswith("// "):
        yield f"{path}: does not open with what it is"
    if not text.rstrip().endswith(f"#endif  // {guard}"):
        yield f"{path}: does not end with '#endif  // {guard}'"


def check_text(path: str, text: str) -> Iterator[str]:
    """Nothing unfinished, no host of a package registry, nothing of one machine, no stray white space."""
    unfinished = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX)\b|not implemented " r"yet")
    hosts = r"(deb|security|snapshot)\.debian\.o" r"rg|py" r"pi\.o" r"rg|registry\.npm" r"js"
    places = re.compile(hosts + r"|/wo" r"rk/|/fa" r"rm/")
    for number, line in enumerate(text.splitlines(), 1):
        where = f"{path}:{number}"
        if unfinished.search(line):
            yield f"{where}: unfinished: {line.strip()}"
        if places.search(line):
            yield f"{where}: names a registry or a path of one machine: {line.strip()}"
        if line != line.rstrip():
            yield f"{where}: white space at the end of the line"
        if path.endswith((*CODE, ".py", ".sh", ".bzl")) and len(line) > 120:
            yield f"{where}: longer than 120 columns"
    if text and not text.endswith("\n"):
        yield f"{path}: no newline at the end"


RULES = [check_includes, check_dependencies, check_header, check_text]


def links(markdown: str) -> list[str]:
    """Targets of a document's links to files of the repository."""
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", re.sub(r"(?s)```.*?```", "", markdown))
    return [target for target in targets if not re.match(r"[a-z]+:", target)]
