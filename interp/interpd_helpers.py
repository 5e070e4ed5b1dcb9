"""The part of `import interpd` that is easier to say in Python: asyncio, and being an exception of other modules too.

Compiled once by the main interpreter; each interpreter loads it when it first needs it.
"""

import os
import sys
import weakref

import interpd

__file__ = "<interpd>"

_NOTHING = object()


# ---- exceptions -----------------------------------------------------------------------------------------------------

_compatible = {}


def compatible(exception):
    """`exception`, or a class that is also the exception of the standard library's queues that code may be catching."""
    queue = sys.modules.get("queue")
    interpreters = sys.modules.get("concurrent.interpreters")
    twins = {
        interpd.ChannelEmpty: (getattr(interpreters, "QueueEmpty", None), getattr(queue, "Empty", None)),
        interpd.ChannelFull: (getattr(interpreters, "QueueFull", None), getattr(queue, "Full", None)),
        interpd.NotShareableError: (getattr(interpreters, "NotShareableError", None),),
    }.get(exception, ())
    # QueueEmpty is a queue.Empty itself: the first that is there will do.
    twin = next((twin for twin in twins if isinstance(twin, type)), None)
    if twin is None:
        return exception
    made = _compatible.get((exception, twin))
    if made is None:
        namespace = {"__doc__": exception.__doc__, "__module__": "interpd", "__qualname__": exception.__qualname__}
        made = _compatible[exception, twin] = type(exception.__name__, (exception, twin), namespace)
    return made


# ---- asyncio --------------------------------------------------------------------------------------------------------

# loop -> the fd that it watches so as to be woken up.
_wake_fds = weakref.WeakKeyDictionary()


def _make_wakeable(loop):
    """Lets a signal wake the loop up, whether it sleeps already or is about to.

    Whoever makes a channel ready leaves this interpreter a call, and sends the loop's thread a signal, whose handler
    writes to this fd of the thread. Once awake, Python finds the call by itself.
    """
    fd = interpd.Channel._wake_fd()
    if _wake_fds.get(loop) != fd:

        def drain():
            try:
                os.eventfd_read(fd)
            except BlockingIOError:
                pass  # another loop of this thread was faster

        loop.add_reader(fd, drain)
        _wake_fds[loop] = fd


# (loop, channel, receive) -> the coroutines that wait there, while there are any.
_waiting = {}


class _Waiters:
    """Coroutines of one event loop that wait for one side of one channel, first come first served.

    They share one watch, so a channel that many wait for costs each message no more than one that one waits for.
    Everything happens on the loop's thread but _ready.
    """

    def __init__(self, key):
        from collections import deque

        self.key = key
        self.loop, self.channel, self.receive = key
        self.futures = deque()
        self.watch = None

    def arm(self):
        if self.watch is None and self.futures:
            _make_wakeable(self.loop)
            self.watch = self.channel._watch(self.receive, self._ready)

    def _ready(self):
        # Called at a safe point of whatever thread of the interpreter comes first.
        self.loop.call_soon_threadsafe(self._wake)

    def _wake(self):
        self.watch = None
        room = len(self.channel) if self.receive else self.channel.capacity - len(self.channel)
        count = len(self.futures) if self.channel.closed else max(1, room)
        for future in self.futures:
            if not future.done():
                future.set_result(None)
                count -= 1
                if count <= 0:
                    break

    async def wait(self, first):
        """Until it is worth trying. `first` is for who has waited before."""
        future = self.loop.create_future()
        (self.futures.appendleft if first else self.futures.append)(future)
        try:
            self.arm()
            await future
        finally:
            self.futures.remove(future)

    def leave(self):
        """After trying, or giving up: whoever is next may find something, too."""
        if self.futures:
            # A watch of a channel that is ready fires at once, so nobody is forgotten.
            self.arm()
        else:
            if self.watch is not None:
                self.watch.cancel()
                self.watch = None
            _waiting.pop(self.key, None)


async def _until_done(channel, receive, attempt, timeout):
    """Awaits until attempt() returns something other than _NOTHING."""
    import asyncio

    if timeout is not None:
        async with asyncio.timeout(timeout):
            return await _until_done(channel, receive, attempt, None)
    key = (asyncio.get_running_loop(), channel, receive)
    waiters = _waiting.get(key)
    if waiters is None:
        waiters = _waiting[key] = _Waiters(key)
    first = False
    try:
        while True:
            await waiters.wait(first)
            first = True
            # Between this and the return nothing is awaited: who is cancelled has taken nothing.
            if (result := attempt()) is not _NOTHING:
                return result
    finally:
        waiters.leave()


async def arecv(channel, timeout=None):
    value = channel.try_recv(_NOTHING)
    if value is _NOTHING:
        value = await _until_done(channel, True, lambda: channel.try_recv(_NOTHING), timeout)
    return value


async def asend(channel, value, timeout=None, *, pickle=False):
    def attempt():
        try:
            return channel.try_send(value, pickle=pickle)
        except interpd.ChannelFull:
            return _NOTHING

    if attempt() is _NOTHING:
        await _until_done(channel, False, attempt, timeout)


async def anext_value(channel):
    try:
        return await arecv(channel)
    except interpd.ChannelClosed:
        raise StopAsyncIteration from None
