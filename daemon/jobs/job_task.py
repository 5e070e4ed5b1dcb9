"""The Python side of jobs: `interpd.task`, and the way from the daemon to a script's function.

Each interpreter of a job has it as the module _interpd_job.
"""

import sys

import interpd


class Task:
    """The task of a job that this interpreter runs."""

    __slots__ = ("job", "index", "count", "attempt", "after", "result", "_uid")

    @property
    def key(self):
        """The same in all attempts at this task, and in no other task."""
        return f"{self._uid}/{self.index}"

    def __repr__(self):
        return f"<task {self.index} of {self.count} of {self.job}, attempt {self.attempt}>"


task = interpd.task = Task()
function = None


def begin(job, uid, count, after, with_inputs):
    """Before the script runs. `after`: ((name, display name, results), ...) of the jobs that this one comes after."""
    task.job, task._uid, task.count = job, uid, count
    task.index, task.attempt, task.result = 0, 0, None
    task.after = {}
    for name, display_name, results in after:
        task.after[name] = results
        if display_name:
            task.after.setdefault(display_name, results)
    if with_inputs:
        # What stands under `if __name__ == "__main__":` is not for tasks.
        main = sys.modules["__main__"]
        main.__name__ = "__task__"
        sys.modules["__task__"] = main


def find_function():
    """Once the script has run."""
    global function
    found = getattr(sys.modules["__main__"], "task", None)
    if not callable(found):
        raise TypeError("the job has inputs, so its script must define a function task(item)")
    function = found


def run(index, attempt, item):
    task.index, task.attempt, task.result = index, attempt, None
    return function(item)


def prepare(index, attempt):
    task.index, task.attempt = index, attempt


def take_result():
    return task.result
