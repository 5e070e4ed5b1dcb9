"""What the interpreters that interpd hosts say to each other.

A built-in module of hosted interpreters: `import interpd` works in code that runs in the daemon, and only there. This
file is for editors and type checkers; help(interpd) shows the same. A test compares it with the module.
"""

from collections.abc import Awaitable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any, Final, Literal, NamedTuple, Protocol, Self, overload

class ChannelError(Exception):
    """Base of what goes wrong with channels."""

class ChannelClosed(ChannelError):
    """The channel is closed, and for a receiver: empty."""

    sent: int
    """How many values of send_many() went before. Set by send_many() alone."""
    index: int
    """Which case of select() it is about. Set by select() alone."""

class ChannelFull(ChannelError):
    """No room. Where a program has imported `queue` it is a queue.Full, too."""

class ChannelEmpty(ChannelError):
    """Nothing to receive. Where a program has imported `queue` it is a queue.Empty, too."""

class NotShareableError(TypeError):
    """A value cannot cross interpreters; the message names the element."""

class Buffer:
    """Memory that interpreters can share. Made by buffer(); use it through memoryview()."""

    @property
    def nbytes(self) -> int: ...
    @property
    def readonly(self) -> bool: ...
    def __len__(self) -> int: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...

class Selected(NamedTuple):
    """What select() has done."""

    index: int
    channel: Channel
    value: Any

class Channel:
    """A bounded queue of values between interpreters, made or found by channel().

    Any interpreter and any thread may send and receive. Values come out in the order in which they went in. It belongs
    to the process: what an interpreter has sent stays when that interpreter ends. An anonymous channel goes, with what
    is in it, when nobody refers to it any more.
    """

    @property
    def name(self) -> str | None:
        """The name under which channel() finds it; None for an anonymous one."""
    @property
    def capacity(self) -> int:
        """How many values it holds before send() waits."""
    @property
    def closed(self) -> bool:
        """Whether it is closed; it may hold values still."""
    def send(self, value: Any, timeout: float | None = None, *, pickle: bool = False) -> None:
        """Sends a value, waiting while the channel is full.

        Raises ChannelClosed, NotShareableError, and TimeoutError after `timeout` seconds; then nothing was sent.
        pickle=True carries anything that pickle does; receiving it runs code of the sender's choice.
        """
    def recv(self, timeout: float | None = None) -> Any:
        """Receives the oldest value, waiting while the channel is empty.

        Raises ChannelClosed when it is closed and empty, and TimeoutError after `timeout` seconds.
        """
    def try_send(self, value: Any, *, pickle: bool = False) -> None:
        """Sends a value at once, or raises ChannelFull or ChannelClosed."""
    @overload
    def try_recv(self) -> Any: ...
    @overload
    def try_recv(self, default: Any) -> Any: ...
    def try_recv(self, default: Any = ...) -> Any:
        """Receives a value that is there. Else returns the default, or without one raises ChannelEmpty."""
    def send_many(self, values: Iterable[Any], timeout: float | None = None) -> int:
        """Sends all values of an iterable in order and returns how many that were.

        An exception carries as its attribute `sent` how many went before it.
        """
    def recv_many(self, max: int, timeout: float | None = None) -> list[Any]:
        """Waits for a value and returns it with those that are there behind it: at most max."""
    def arecv(self, timeout: float | None = None) -> Awaitable[Any]:
        """recv() for asyncio. No thread waits for it, and cancelling it loses no value."""
    def asend(self, value: Any, timeout: float | None = None, *, pickle: bool = False) -> Awaitable[None]:
        """send() for asyncio."""
    def subscribe(
        self, capacity: int = 1024, slow: Literal["block", "drop_oldest", "disconnect"] = "block"
    ) -> Channel:
        """An end of a broadcast channel that receives whatever is sent from now on."""
    def stats(self) -> dict[str, int | bool]:
        """sent, received, returned, dropped, size, capacity, subscribers, closed."""
    def close(self) -> bool:
        """Closes the channel for all. Returns whether this call closed it."""
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None: ...
    def __iter__(self) -> Iterator[Any]: ...
    def __next__(self) -> Any: ...
    def __aiter__(self) -> Self: ...
    def __anext__(self) -> Awaitable[Any]: ...
    def __len__(self) -> int: ...
    def __bool__(self) -> Literal[True]: ...
    def __hash__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...

    # As concurrent.interpreters.Queue has them.
    @property
    def id(self) -> int: ...
    @property
    def maxsize(self) -> int: ...
    def put(
        self,
        obj: Any,
        block: bool = True,
        timeout: float | None = None,
        *,
        unbounditems: Any = None,
        _delay: float = 0.01,
    ) -> None:
        """send(), pickling what is not shareable; ChannelFull after the timeout."""
    def put_nowait(self, obj: Any, *, unbounditems: Any = None) -> None:
        """put(obj, block=False)"""
    def get(self, block: bool = True, timeout: float | None = None, *, _delay: float = 0.01) -> Any:
        """recv(); ChannelEmpty after the timeout."""
    def get_nowait(self) -> Any:
        """get(block=False)"""
    def qsize(self) -> int: ...
    def empty(self) -> bool: ...
    def full(self) -> bool: ...

class Constants:
    """Immortal constants by name: a mapping, and read-only.

    Every interpreter gets the very same objects, at once and without a copy: None, bool, int, float, complex, str,
    bytes, tuple, frozenset and types.MappingProxyType, nested. What a name gives stays as it is, even if the name gets
    a new version or is deleted. Constants, and what is in them, can be sent through channels: by reference.
    """

    def __getitem__(self, name: str, /) -> Any: ...
    def __contains__(self, name: object, /) -> bool: ...
    def __iter__(self) -> Iterator[str]: ...
    def __len__(self) -> int: ...
    @overload
    def get(self, name: str) -> Any | None: ...
    @overload
    def get[T](self, name: str, default: T) -> Any | T: ...
    def get(self, name: str, default: Any = None) -> Any:
        """The newest version, or default."""
    def keys(self) -> list[str]:
        """The names there are now."""
    def values(self) -> list[Any]:
        """The constants there are now."""
    def items(self) -> list[tuple[str, Any]]:
        """Pairs of name and constant."""
    def version(self, name: str, /) -> int:
        """The number of the newest version; they count from 1. KeyError if there is none."""

constants: Final[Constants]

def publish(name: str, value: Any) -> int:
    """Makes a constant of value and returns its version.

    Lists become tuples, sets frozensets, dicts read-only mappings; instances of subclasses what they are derived from.
    Everything else is refused with NotShareableError, which says where it is. value itself stays what it is. A name
    that exists gets a new version; if the content is the same, nothing happens. Raises PermissionError in an
    interpreter that was not created with the right to publish, ValueError for a bad name or too large a value.
    """

def channel(name: str | None = None, capacity: int = 1024, *, broadcast: bool = False) -> Channel:
    """Opens the channel of that name, or makes it with that capacity; without a name, makes an anonymous one.

    Capacity 0 makes a rendezvous: send() waits until a receiver takes the value. A broadcast channel hands each value
    to every subscriber; see Channel.subscribe().
    """

def create_queue(maxsize: int = 0, *, unbounditems: Any = None) -> Channel:
    """As concurrent.interpreters.create_queue(): an anonymous channel. Its bound is 65536 where maxsize is 0."""

def buffer(nbytes: int, /) -> Buffer:
    """Makes a Buffer: nbytes of zeroed memory that interpreters can share."""

@overload
def select(cases: Sequence[Channel | tuple[Channel, Any]], timeout: float | None = None) -> Selected: ...
@overload
def select[T](
    cases: Sequence[Channel | tuple[Channel, Any]], timeout: float | None = None, *, default: T
) -> Selected | T: ...
def select(
    cases: Sequence[Channel | tuple[Channel, Any]], timeout: float | None = None, *, default: Any = ...
) -> Any:
    """Waits until one of several channels is ready, and receives from it or sends to it: that one and no other.

    A case is a channel, to receive, or (channel, value), to send. Returns Selected(index, channel, value), value being
    None for a case that sent; or `default`, if one is given and none is ready. Raises TimeoutError after `timeout`
    seconds, and ChannelClosed, with the attribute `index`, when a case's channel is closed (and for a receiver empty).
    """

class Task(Protocol):
    """The task of a job that this interpreter runs. Not in the module itself: it is the type of `task`."""

    job: str
    """The job's name, "jobs/ID"."""
    index: int
    """Which of its tasks this is, from 0."""
    count: int
    """How many tasks the job has."""
    attempt: int
    """1, and one more each time that the task is tried again, also because the daemon was killed."""
    after: dict[str, list[Any]]
    """The results of the jobs that this one comes after, under their names and their display names."""
    result: Any
    """Set by a script without inputs: what Results is to give as its result."""

    @property
    def key(self) -> str:
        """The same in all attempts at this task, and in no other task: an idempotency key."""

task: Task | None
"""In the interpreters of jobs; None elsewhere."""
