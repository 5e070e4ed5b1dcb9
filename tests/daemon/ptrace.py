"""Stops single threads of a process from outside, as a debugger does: what is stopped has no code for it."""

import ctypes
import os
import pathlib

_SEIZE, _INTERRUPT, _DETACH = 0x4206, 0x4207, 17
_WALL = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


def _ptrace(request, tid):
    if _libc.ptrace(request, tid, None, None) != 0:
        raise OSError(ctypes.get_errno(), f"ptrace({request:#x}, {tid})")


def threads(pid, name):
    """The ids of the process's threads of that name."""
    tasks = pathlib.Path(f"/proc/{pid}/task").iterdir()
    return [int(task.name) for task in tasks if (task / "comm").read_text().strip() == name]


class Stopped:
    """with Stopped(tid): that thread executes nothing.

    Its process can be killed meanwhile, and is gone once `reap` has been called after that.
    """

    def __init__(self, tid):
        self.tid = tid

    def __enter__(self):
        _ptrace(_SEIZE, self.tid)
        _ptrace(_INTERRUPT, self.tid)
        os.waitpid(self.tid, _WALL)
        self.gone = False
        return self

    def reap(self):
        """Lets go of the thread if it was killed; whether it was."""
        if not self.gone:
            try:
                pid, status = os.waitpid(self.tid, os.WNOHANG | _WALL)
                self.gone = pid != 0 and not os.WIFSTOPPED(status)
            except ChildProcessError:
                self.gone = True
        return self.gone

    def __exit__(self, *_):
        if not self.reap():
            _ptrace(_DETACH, self.tid)
