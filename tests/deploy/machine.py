"""A clean forky machine: a root file system of its own, and systemd booted in it (systemd-nspawn)."""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time

PATIENCE = 120
# What makes and enters root file systems is for administrators, and lies where Bazel's tests do not look.
os.environ["PATH"] += ":/usr/local/sbin:/usr/sbin:/sbin"
# What a small Debian server has, and no more: interpd's own dependencies come with its package.
PACKAGES = ["systemd-sysv", "dbus"]


class NotHere(Exception):
    """This machine cannot make or boot one; why."""


def _apt(*args):
    return subprocess.run(["apt-get", *args], capture_output=True, text=True).stdout


def mirror():
    """The mirror that the build environment itself was made from."""
    targets = _apt("indextargets", "--no-release-info", "--format", "$(COMPONENT) $(REPO_URI)", "Created-By: Packages")
    for line in targets.splitlines():
        component, _, uri = line.partition(" ")
        if component == "main":
            return uri
    raise NotHere("apt knows no mirror")


def _apt_settings(directory):
    """How apt reaches that mirror: proxies, retries, an index past its expiry date."""
    wanted = re.compile(r"^Acquire::(Check-|Max-ValidTime|Min-ValidTime|Retries|ForceIPv[46]|http|https)")
    dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True).stdout
    settings = directory / "apt.conf"
    settings.write_text("".join(f"{line}\n" for line in dump.splitlines()
                                if wanted.match(line) and not line.endswith(' "";')))
    return settings


def make_root(directory, *, variant="minbase", packages=PACKAGES):
    """A forky root file system below the directory."""
    if os.geteuid() != 0:
        raise NotHere("making root file systems and booting them takes root")
    root = directory / "root"
    made = subprocess.run(
        ["mmdebstrap", "--mode=root", f"--variant={variant}", f"--include={','.join(packages)}",
         f"--aptopt={_apt_settings(directory)}", '--aptopt=APT::Install-Recommends "false"',
         '--aptopt=Acquire::Languages "none"', "forky", str(root), mirror()],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if made.returncode != 0:
        raise NotHere(f"no root file system could be made: {made.stdout[-2000:]}")
    return root


# systemd wants the unified hierarchy of control groups, and a /run of its own to keep its books in.
_BOOT = """
set -e
if [ "$(stat -f -c %T /sys/fs/cgroup)" != cgroup2fs ]; then
  umount -R /sys/fs/cgroup
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
fi
mount -t tmpfs tmpfs /run
exec systemd-nspawn --quiet --keep-unit --register=no --link-journal=no --machine="$1" --directory="$2" \
  --uuid="$(tr -d - </proc/sys/kernel/random/uuid)" --bind="$3:/shared" --boot systemd.log_target=console
"""


def _children(pid):
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield int(child)
            yield from _children(int(child))


class Machine:
    """A root file system in which systemd is booted. `shared` is seen as /shared inside."""

    def __init__(self, root, shared):
        self.console = open(shared / "console", "w+b")
        self.process = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "bash", "-c", _BOOT, "boot", f"interpd-{os.getpid()}",
             str(root), str(shared)],
            stdin=subprocess.DEVNULL, stdout=self.console, stderr=subprocess.STDOUT)
        try:
            self.init = self._find_init()
            self._wait_until_booted()
        except BaseException:
            self.process.kill()
            raise

    def _find_init(self):
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self.process.poll() is None:
            for pid in _children(self.process.pid):
                try:
                    status = pathlib.Path(f"/proc/{pid}/status").read_text()
                except OSError:
                    continue
                if re.search(r"^NSpid:.*\t1$", status, re.M) and "Name:\tsystemd\n" in status:
                    return pid
            time.sleep(0.05)
        raise NotHere("systemd does not boot here: " + self.said())

    def _wait_until_booted(self):
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self.process.poll() is None:
            state = self.run("systemctl", "is-system-running", code=None).stdout.strip()
            if state in ("running", "degraded"):
                return
            time.sleep(0.2)
        raise NotHere("systemd does not get to its end of booting: " + self.said())

    def said(self):
        self.console.flush()
        self.console.seek(0)
        return self.console.read().decode(errors="replace")[-20000:]

    def run(self, *args, code=0, stdin=None):
        done = subprocess.run(["nsenter", "--target", str(self.init), "--all", "--", *map(str, args)], text=True,
                              input=stdin, stdin=None if stdin is not None else subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=600)
        assert code is None or done.returncode == code, (args, done.returncode, done.stdout, done.stderr)
        return done

    def start(self, *args, **options):
        return subprocess.Popen(["nsenter", "--target", str(self.init), "--all", "--", *map(str, args)], text=True,
                                stdin=subprocess.DEVNULL, **options)

    def show(self, unit, prop):
        return self.run("systemctl", "show", "--property", prop, "--value", unit).stdout.strip()

    def wait(self, unit, prop, value):
        deadline = time.monotonic() + PATIENCE
        while (now := self.show(unit, prop)) != value:
            assert time.monotonic() < deadline, (unit, prop, now, self.journal(unit))
            time.sleep(0.1)

    def journal(self, unit, *options):
        return self.run("journalctl", "--no-pager", "--unit", unit, *options, code=None).stdout

    def host_pid(self, pid):
        """The number out here of a process that is `pid` inside."""
        for candidate in _children(self.init):
            try:
                status = pathlib.Path(f"/proc/{candidate}/status").read_text()
            except OSError:
                continue
            if re.search(rf"^NSpid:.*\t{pid}$", status, re.M):
                return candidate
        raise AssertionError(f"no process {pid}")

    def stop(self):
        self.run("systemctl", "poweroff", "--force", code=None)
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.console.close()


def scratch():
    return pathlib.Path(tempfile.mkdtemp(prefix="interpd-machine-", dir="/var/tmp"))


def remove(directory):
    shutil.rmtree(directory, ignore_errors=True)
