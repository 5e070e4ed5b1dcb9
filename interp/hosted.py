"""The Python side of the host: what is easier to say in Python than in C.

Compiled once by the main interpreter; each interpreter loads it when it first needs it. Nothing here is seen by hosted
code unless it looks for it.
"""

import sys

__file__ = "<interpd>"

MAX_FRAMES = 200          # of one traceback; the middle of a longer one is left out
MAX_CHAIN = 16            # causes and contexts
MAX_TEXT = 256 * 1024     # characters of one message or formatted traceback

_runner = None
_compiler = None


def describe(error):
    """What the C++ struct ExceptionInfo holds: (type, qualified, message, formatted, frames, notes, cause, context)."""
    import traceback

    # Tracebacks begin in hosted code, not in this file.
    inner = step = error.__traceback__
    while step is not None:
        if step.tb_frame.f_code.co_filename == __file__:
            inner = step.tb_next
        step = step.tb_next
    error.__traceback__ = inner

    try:
        formatted = "".join(traceback.format_exception(error))
    except BaseException as failure:
        formatted = f"{type(error).__name__} (its traceback could not be formatted: {type(failure).__name__})\n"
    return _describe(error, formatted, set(), 0)


def _describe(error, formatted, seen, depth):
    import traceback

    seen.add(id(error))
    kind = type(error)
    qualified = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    try:
        message = str(error)
    except BaseException as failure:
        message = f"<str() of the exception raised {type(failure).__name__}>"
    try:
        summary = traceback.extract_tb(error.__traceback__)
        if len(summary) > MAX_FRAMES:
            summary = summary[: MAX_FRAMES // 2] + summary[-MAX_FRAMES // 2 :]
        frames = [(f.filename, f.lineno or 0, f.name, f.line or "") for f in summary]
    except BaseException:
        frames = []
    notes = getattr(error, "__notes__", None)
    notes = [str(note) for note in notes][:100] if isinstance(notes, list) else []

    def chained(other):
        if other is None or id(other) in seen or depth >= MAX_CHAIN:
            return None
        try:
            text = "".join(traceback.format_exception(other, chain=False))
        except BaseException:
            text = ""
        return _describe(other, text, seen, depth + 1)

    cause = chained(error.__cause__)
    context = None if error.__suppress_context__ else chained(error.__context__)
    notes = [_text(note) for note in notes]
    return (kind.__name__, qualified, _text(message), _text(formatted), frames, notes, cause, context)


def _text(text):
    if len(text) > MAX_TEXT:
        text = text[: MAX_TEXT // 2] + "\n... (cut) ...\n" + text[-MAX_TEXT // 2 :]
    return text


def run_awaitable(awaitable):
    """Awaits what a coroutine function returned, on the interpreter's own event loop, which lasts."""
    global _runner
    import asyncio

    if _runner is None:
        _runner = asyncio.Runner()
    loop = _runner.get_loop()

    async def wait():
        return await awaitable

    task = loop.create_task(wait())
    try:
        return loop.run_until_complete(task)
    except (KeyboardInterrupt, SystemExit):
        # What was interrupted must not go on during the next call.
        task.cancel()
        loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
        raise


def close_runner():
    """Ends the event loop, if there is one: cancels its tasks and closes its generators."""
    global _runner
    if _runner is not None:
        _runner.close()
        _runner = None


def compile_interactive(source, filename):
    """A code object; None when the source is the beginning of a statement."""
    global _compiler
    import codeop

    if _compiler is None:
        _compiler = codeop.CommandCompiler()
    return _compiler(source, filename, "single")


def register_source(filename, source):
    """Lets tracebacks show the lines of source that is in no file."""
    import linecache

    linecache.cache[filename] = (len(source), None, source.splitlines(True), filename)


def forget_source(filename):
    import linecache

    linecache.cache.pop(filename, None)


def set_up(path, venv, site):
    """sys.path as the interpreter's configuration wants it."""
    if site:
        import site as site_module

        site_module.main()
    if venv:
        import os
        import site as site_module

        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        packages = os.path.join(venv, "lib", version, "site-packages")
        if not os.path.isdir(packages):
            raise FileNotFoundError(f"{venv} is no virtual environment of this Python: there is no {packages}")
        sys.prefix = sys.exec_prefix = venv
        site_module.addsitedir(packages)
    sys.path[:0] = path


def stacks():
    """What each thread executes, as text."""
    import threading
    import traceback

    names = {thread.ident: thread.name for thread in threading.enumerate()}
    parts = []
    for ident, frame in sys._current_frames().items():
        parts.append(f"Thread {names.get(ident, ident)}:\n" + "".join(traceback.format_stack(frame)))
    return "".join(parts)
