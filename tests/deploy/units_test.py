"""The units, as systemd itself reads them."""

import os
import pathlib
import subprocess

import pytest

DEPLOY = pathlib.Path("deploy")
INTERPD = os.path.abspath("daemon/interpd")
# What hosted code has all rights of should have few: systemd's own measure, 0 (nothing) to 10 (everything).
MOST_EXPOSED = 2.5


def units(directory):
    """Copies that are right on this machine: with the program where it is here."""
    service = (DEPLOY / "interpd.service").read_text()
    assert "ExecStart=/usr/bin/interpd " in service
    (directory / "interpd.service").write_text(service.replace("/usr/bin/interpd ", f"{INTERPD} "))
    (directory / "interpd.socket").write_text((DEPLOY / "interpd.socket").read_text())
    return [directory / "interpd.service", directory / "interpd.socket"]


def analyze(*args):
    return subprocess.run(["systemd-analyze", "--no-pager", *map(str, args)], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)


def test_systemd_has_nothing_to_say(tmp_path):
    done = analyze("verify", "--man=no", *units(tmp_path))
    assert done.returncode == 0 and done.stdout == "", done.stdout


@pytest.mark.parametrize("wrong", ["WatchdogSec=often", "SystemCallFilter=@nothing", "Colour=green",
                                   "ExecStart=/no/such"])
def test_systemd_would_say_it(tmp_path, wrong):
    service, socket = units(tmp_path)
    service.write_text(service.read_text().replace("[Service]\n", f"[Service]\n{wrong}\n"))
    assert analyze("verify", "--man=no", service, socket).stdout != ""


def test_exposure_is_low(tmp_path):
    service, _ = units(tmp_path)
    measure = ["security", "--offline=true", f"--threshold={int(MOST_EXPOSED * 10)}"]
    done = analyze(*measure, service)
    assert done.returncode == 0, done.stdout
    service.write_text(service.read_text().replace("User=interpd\n", "").replace("CapabilityBoundingSet=\n", ""))
    assert analyze(*measure, service).returncode != 0
