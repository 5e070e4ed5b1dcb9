"""Tests of each kind. The kind is the suffix of the name; it decides the tags by which runs pick tests."""

load("@rules_cc//cc:defs.bzl", "cc_binary", "cc_test")

# suffix -> tags
_KINDS = {
    "_test": [],
    "_model_test": ["model"],
    "_stress_test": ["stress"],
    "_fuzz_test": ["fuzz"],
    "_e2e_test": ["e2e"],
}

def interpd_cc_test(name, deps = [], tags = [], size = "small", main = True, **kwargs):
    """A GoogleTest program. `main` links tests/testing:main, which starts nothing but GoogleTest and the log."""
    kind = "_test"
    for suffix in _KINDS:
        if name.endswith(suffix) and len(suffix) > len(kind):
            kind = suffix
    cc_test(
        name = name,
        size = size,
        tags = tags + _KINDS[kind],
        deps = deps + ["@system//:gtest"] + (["//tests/testing:main"] if main else []),
        **kwargs
    )

def interpd_benchmark(name, deps = [], **kwargs):
    """A program that measures; run, never tested: bazel run -c opt."""
    cc_binary(
        name = name,
        testonly = True,
        tags = ["benchmark"],
        deps = deps,
        **kwargs
    )

def py_test(name, srcs, data = [], tags = [], size = "small", args = [], **kwargs):
    """A pytest file run by the distribution's Python."""
    native.sh_test(
        name = name,
        size = size,
        srcs = ["//tools/bazel:run_pytest.sh"],
        args = ["$(rootpath %s)" % src for src in srcs] + args,
        data = srcs + data,
        tags = tags + (["e2e"] if name.endswith("_e2e_test") else []),
        **kwargs
    )
