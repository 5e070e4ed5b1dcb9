// `import interpd`: channels from one interpreter and between two, method by method.
#include <gtest/gtest.h>

#include "tests/interp/run_python.h"

namespace interpd {
namespace {

using testing::PythonInterpreter;

TEST(HostChannelTest, SendAndReceive) {
  PythonInterpreter python;
  python.Run(R"(
ch = interpd.channel()
values = [None, True, False, 0, -1, 2**62, -2**63, 2**100, 0.5, float('inf'), 1j,
          '', 'a', 'text', 'caf\xe9', '\u20ac', '\U0001f40d' * 3, '\ud800', b'', b'x', b'bytes' * 100,
          (), (1, (2, ('x',))), [1, [2]], {1, 2}, frozenset('ab'), {'k': [1, {'n': b'v'}]},
          'long' * 10_000, b'long' * 10_000, ('long' * 10_000, b'long' * 10_000, 1)]
for value in values:
    ch.send(value)
assert len(ch) == len(values) == ch.qsize()
for value in values:
    got = ch.recv()
    assert got == value and type(got) is type(value), (got, value)
assert len(ch) == 0 and ch
)");
}

// Adopted objects in small blocks, resized as if CPython had made them: a local str that nobody else has grows in
// place.
TEST(HostChannelTest, ReceivedTextsGrow) {
  PythonInterpreter python;
  python.Run(R"(
ch = interpd.channel()

def grow(unit, size, more):
    ch.send(unit * size)
    text = ch.recv()
    tail = unit * more
    text += tail
    return text

for size in 2, 60, 90, 400, 500, 5000:
    for unit in b'x', 'x', '\xe9', '\u20ac':
        for more in 1, 30, 100, 10000:
            for i in range(10):
                assert grow(unit, size, more) == unit * (size + more), (size, unit, more)
)");
}

TEST(HostChannelTest, FindsByNameAndBelongsToTheProcess) {
  {
    PythonInterpreter one;
    one.Run("interpd.channel('find.me', capacity=3).send(['kept', 1])");
  }
  PythonInterpreter two;
  two.Run(R"(
ch = interpd.channel('find.me')
assert ch.capacity == 3 and ch.name == 'find.me' and 'find.me' in repr(ch), repr(ch)
assert ch.recv(timeout=0) == ['kept', 1]
assert ch == interpd.channel('find.me') and ch != interpd.channel() and hash(ch) == hash(interpd.channel('find.me'))
ch.close()
assert interpd.channel('find.me') != ch
interpd.channel('find.me').close()
)");
}

TEST(HostChannelTest, Tries) {
  PythonInterpreter python;
  python.Run(R"(
ch = interpd.channel(capacity=2)
assert ch.name is None
raises(interpd.ChannelEmpty, ch.try_recv)
assert ch.try_recv('nothing') == 'nothing' and ch.try_recv(default=None) is None
ch.try_send(1); ch.try_send(2)
raises(interpd.ChannelFull, ch.try_send, 3)
raises(interpd.ChannelFull, ch.put_nowait, 3)
assert [ch.try_recv(), ch.try_recv()] == [1, 2]
ch.try_send(4)
assert ch.close() is True and ch.close() is False and ch.closed
raises(interpd.ChannelClosed, ch.try_send, 5)
raises(interpd.ChannelClosed, ch.send, 5)
assert ch.try_recv() == 4
raises(interpd.ChannelClosed, ch.try_recv, 'default')
raises(interpd.ChannelClosed, ch.recv)
)");
}

TEST(HostChannelTest, TimeoutsAreFloats) {
  PythonInterpreter python;
  python.Run(R"(
ch = interpd.channel(capacity=1)
def took(function, *args, **kwargs):
    start = time.monotonic()
    raises(TimeoutError, function, *args, **kwargs)
    return time.monotonic() - start
assert 0.05 <= took(ch.recv, 0.05) < 2
assert 0.05 <= took(ch.recv, timeout=0.05) < 2
assert took(ch.recv, timeout=0) < 1
ch.send(1)
assert 0.05 <= took(ch.send, 2, 0.05) < 2
assert 0.05 <= took(ch.send_many, [2], timeout=0.05) < 2
ch.recv()
assert 0.05 <= took(ch.recv_many, 5, 0.05) < 2
assert 0.05 <= took(interpd.select, [ch], 0.05) < 2
for bad in (-1, float('nan'), -0.001):
    raises(ValueError, ch.recv, bad)
raises(TypeError, ch.recv, '1')
ch.send(3, timeout=float('inf'))
assert ch.recv(timeout=1e300) == 3
assert 0.05 <= took(ch.get_timeout, 0.05) < 2 if hasattr(ch, 'get_timeout') else True
)");
}

TEST(HostChannelTest, Arguments) {
  PythonInterpreter python;
  python.Run(R"(
ch = interpd.channel(None, 4)
for call in (lambda: ch.send(), lambda: ch.send(1, 2, 3), lambda: ch.send(1, nope=2), lambda: ch.send(1, value=1),
             lambda: ch.recv_many(), lambda: interpd.channel(5), lambda: interpd.select(), lambda: interpd.select([1]),
             lambda: interpd.Channel(), lambda: interpd.buffer('x'), lambda: interpd.channel(capacity='x')):
    raises(TypeError, call)
for call in (lambda: ch.recv_many(0), lambda: interpd.channel(capacity=-1), lambda: interpd.channel(capacity=2**40),
             lambda: interpd.channel(''), lambda: interpd.channel('no such/name!'), lambda: interpd.select([]),
             lambda: interpd.buffer(-1)):
    raises(ValueError, call)
ch.send(value='by name', timeout=None)
assert ch.recv(timeout=1) == 'by name'
)");
}

TEST(HostChannelTest, WhatIsNotShareableIsNamed) {
  PythonInterpreter python;
  python.Run(R"(
ch = interpd.channel()
class Stranger: pass
error = raises(interpd.NotShareableError, ch.send, {'a': [1, Stranger()]})
assert isinstance(error, TypeError) and "['a'][1]" in str(error) and 'Stranger' in str(error), error
raises(interpd.NotShareableError, ch.try_send, object())
cycle = []; cycle.append(cycle)
raises(interpd.NotShareableError, ch.send, cycle)
error = raises(interpd.NotShareableError, ch.send, memoryview(bytearray(5)))
assert 'interpd.Buffer' in str(error), error
assert len(ch) == 0
)");
}

TEST(HostChannelTest, Pickle) {
  PythonInterpreter one, two;
  for (PythonInterpreter* each : {&one, &two}) each->Run("import decimal, datetime, fractions");
  one.Run(R"(
ch = interpd.channel('pickles')
ch.send({'d': decimal.Decimal('1.50'), 'when': datetime.date(2026, 1, 2)}, pickle=True)
ch.try_send(fractions.Fraction(1, 3), pickle=True)
ch.put(range(5))
raises(interpd.NotShareableError, ch.put, lambda: 1)
raises(Exception, ch.send, lambda: 1, pickle=True)
)");
  two.Run(R"(
ch = interpd.channel('pickles')
assert ch.recv() == {'d': decimal.Decimal('1.50'), 'when': datetime.date(2026, 1, 2)}
assert ch.recv() == fractions.Fraction(1, 3)
assert ch.recv() == range(5)
ch.close()
)");
}

TEST(HostChannelTest, ManyAtOnce) {
  PythonInterpreter python;
  python.Run(R"(
ch = interpd.channel(capacity=1000)
assert ch.send_many(range(600)) == 600
assert ch.send_many(x for x in 'ab') == 2
assert ch.send_many([]) == 0
assert ch.recv_many(10) == list(range(10))
assert ch.recv_many(10_000) == list(range(10, 600)) + ['a', 'b']

def broken():
    yield 1
    yield 2
    raise KeyError('mine')
error = raises(KeyError, ch.send_many, broken())
assert error.sent == 2 and ch.recv_many(9) == [1, 2]
error = raises(interpd.NotShareableError, ch.send_many, [1, 2, object(), 4])
assert error.sent == 2 and ch.recv_many(9) == [1, 2]

small = interpd.channel(capacity=4)
error = raises(TimeoutError, small.send_many, range(10), 0.01)
assert error.sent == 4 and len(small) == 4
small.close()
error = raises(interpd.ChannelClosed, small.send_many, [1])
assert error.sent == 0 and small.recv_many(9) == [0, 1, 2, 3]
raises(interpd.ChannelClosed, small.recv_many, 9)
)");
}

TEST(HostChannelTest, IterationAndWith) {
  PythonInterpreter python;
  python.Run(R"(
with interpd.channel() as ch:
    ch.send_many('abc')
assert ch.closed and list(ch) == ['a', 'b', 'c'] and list(ch) == []
)");
}

TEST(HostChannelTest, ChannelsTravelThroughChannelsAndCalls) {
  PythonInterpreter one, two;
  one.Run(R"(
replies = interpd.channel()
interpd.channel('meet').send({'reply to': replies, 'question': 6})
def give(): return [replies]
def echo(x): return x
)");
  two.Run(R"(
request = interpd.channel('meet').recv()
request['reply to'].send(request['question'] * 7)
interpd.channel('meet').close()
def take(x): x[0].send('called')
)");
  one.Run("assert replies.recv(timeout=5) == 42");
  auto given = one.Call("give");
  ASSERT_TRUE(given.ok()) << given.status();
  channels::ValueBuilder args;
  args.Begin(channels::Kind::kTuple, 1);
  args.Begin(channels::Kind::kList, 1);
  channels::ValueReader reader(given->value);
  reader.Next();
  args.Channel(channels::Ref<channels::Shared>::Borrow(reader.Next().shared));
  auto taken = two.Call("take", std::move(args).Finish());
  ASSERT_TRUE(taken.ok()) << taken.status();
  EXPECT_EQ(taken->exception, nullptr);
  one.Run("assert replies.recv(timeout=5) == 'called'");
}

TEST(HostChannelTest, Select) {
  PythonInterpreter python;
  python.Run(R"(
a, b, full = interpd.channel(), interpd.channel(), interpd.channel(capacity=1)
full.send('full')
b.send('from b')
got = interpd.select([a, b])
assert got == (1, b, 'from b') and (got.index, got.channel, got.value) == (1, b, 'from b'), got
assert interpd.select([a, b], default='none') == 'none'
assert interpd.select([a], default=None) is None
assert interpd.select([a, (full, 1)], default=None) is None
raises(TimeoutError, interpd.select, [a, b], timeout=0)
index, channel, value = interpd.select([a, (b, 'sent')])
assert (index, channel, value) == (1, b, None) and b.recv() == 'sent'
raises(interpd.NotShareableError, interpd.select, [(a, object())])
a.close()
error = raises(interpd.ChannelClosed, interpd.select, [b, a])
assert error.index == 1

# Of several that are ready each gets its turn.
many = [interpd.channel() for _ in range(200)]
for ch in many: ch.send_many([1] * 20)
seen = {interpd.select(many).index for _ in range(1000)}
assert len(seen) > 100, len(seen)

# One that sleeps is woken by whichever comes first, however many there are.
many = [interpd.channel() for _ in range(300)]
threading.Timer(0.02, lambda: many[277].send('late')).start()
assert interpd.select(many, timeout=30) == (277, many[277], 'late')
)");
}

TEST(HostChannelTest, RendezvousAndBroadcast) {
  PythonInterpreter python;
  python.Run(R"(
meet = interpd.channel(capacity=0)
raises(interpd.ChannelFull, meet.try_send, 1)
raises(interpd.ChannelEmpty, meet.try_recv)
thread = threading.Thread(target=lambda: meet.send('hand to hand'))
thread.start()
assert meet.recv(timeout=30) == 'hand to hand'
thread.join()

news = interpd.channel(broadcast=True)
one, two = news.subscribe(), news.subscribe(capacity=2, slow='drop_oldest')
news.send_many(range(4))
assert one.recv_many(9) == [0, 1, 2, 3] and two.recv_many(9) == [2, 3]
assert news.stats()['subscribers'] == 2
two.close()
news.send('on')
assert one.recv() == 'on'
news.close()
raises(interpd.ChannelClosed, one.recv)
raises(ValueError, news.subscribe, slow='sometimes')
raises(ValueError, news.subscribe, 0)
raises(interpd.ChannelError, interpd.channel().subscribe)
)");
}

TEST(HostChannelTest, Stats) {
  PythonInterpreter python;
  python.Run(R"(
ch = interpd.channel(capacity=8)
ch.send_many('abc'); ch.recv()
stats = ch.stats()
assert stats == {'sent': 3, 'received': 1, 'returned': 0, 'dropped': 0, 'size': 2, 'capacity': 8, 'subscribers': 0,
                 'closed': False}, stats
)");
}

// Written for concurrent.interpreters.Queue: the imports of the standard library stay as they are.
constexpr char kQueueCode[] = R"(
import queue, threading
from concurrent import interpreters
from concurrent.interpreters import QueueEmpty, QueueFull, NotShareableError

def producer(q, count):
    for i in range(count):
        while True:
            try:
                q.put(('item', i, [i] * 3), timeout=1)
                break
            except QueueFull:
                pass
    q.put(None)

def consumer(q):
    got = []
    while True:
        try:
            item = q.get(block=True, timeout=1)
        except QueueEmpty:
            continue
        if item is None:
            return got
        got.append(item)

def check(q):
    assert q.empty() and q.qsize() == 0 and not q.full()
    for expected in (QueueEmpty, queue.Empty):
        try: q.get_nowait()
        except expected: pass
        else: raise AssertionError
    try: q.get(block=False)
    except QueueEmpty: pass
    for i in range(q.maxsize): q.put_nowait(i)
    assert q.full() and q.qsize() == q.maxsize
    for expected in (QueueFull, queue.Full):
        try: q.put(1, False)
        except expected: pass
        else: raise AssertionError
    assert [q.get() for _ in range(q.maxsize)] == list(range(q.maxsize))
    try: q.put(threading.Lock())
    except NotShareableError: pass
    else: raise AssertionError
    q.put(complex(1, 2), unbounditems=None)
    assert q.get() == 1 + 2j and isinstance(q.id, int) and {q: 1}[q] == 1
)";

TEST(HostQueueTest, CodeWrittenForTheStandardLibraryRunsUnchanged) {
  PythonInterpreter one, two;
  for (PythonInterpreter* each : {&one, &two}) each->Run(kQueueCode);
  // The same checks hold for the original.
  one.Run("check(interpreters.create_queue(5))");
  one.Run("check(interpd.create_queue(5))");
  one.Run("q = interpd.create_queue(maxsize=7)\ninterpd.channel('to.two').send(q)");
  two.Run("q = interpd.channel('to.two').recv(); interpd.channel('to.two').close()");
  auto producing = one.Start("producer(q, 5000)");
  two.Run("assert consumer(q) == [('item', i, [i] * 3) for i in range(5000)]");
  EXPECT_EQ(testing::Failure(*producing), "");
}

TEST(HostChannelTest, TheBooksBalance) {
  const int64_t before = testing::LiveObjects();
  {
    PythonInterpreter one, two;
    one.Run(R"(
keep = [interpd.channel(capacity=4) for _ in range(50)]
for ch in keep: ch.send_many([(1, 'x' * 5000), ch is None, keep[0], b'y' * 5000])
view = memoryview(interpd.buffer(100))
keep[0].recv_many(9)
keep[0].send(view); keep[0].send(memoryview(b'pinned' * 1000))
interpd.channel('handed').send_many([keep[1], view, memoryview(b'pinned too' * 1000)])
)");
    two.Run("got = interpd.channel('handed').recv_many(2); interpd.channel('handed').close()");
    two.Run("interpd.channel('handed').close(); list(interpd.channel('handed'))");
    one.Run("keep[0].recv_many(9)");
  }
  EXPECT_EQ(testing::LiveObjects(), before);
}

}  // namespace
}  // namespace interpd
