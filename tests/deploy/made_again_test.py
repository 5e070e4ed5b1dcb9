"""What is installed comes out the same when it is made again, byte for byte."""

import pathlib

import pytest


@pytest.mark.parametrize("name", ["interpd.deb", "interpd-oci.tar", "interpd-portable.tar.gz"])
def test_the_same(name):
    once, again = pathlib.Path("deploy", name).read_bytes(), pathlib.Path("deploy/again", name).read_bytes()
    if once != again:
        where = next((i for i, (a, b) in enumerate(zip(once, again)) if a != b), min(len(once), len(again)))
        pytest.fail(f"{len(once)} and {len(again)} bytes, which differ from byte {where} on")
