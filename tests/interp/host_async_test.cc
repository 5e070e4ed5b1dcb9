// Channels in asyncio: awaiting, many at once, cancelling, loops on background threads.
#include <gtest/gtest.h>

#include "tests/interp/run_python.h"

namespace interpd {
namespace {

using testing::Begin;
using testing::PythonInterpreter;

constexpr char kAsync[] = "import asyncio\n";

TEST(HostAsyncTest, ReceivesWhatIsThereAndWhatComes) {
  PythonInterpreter python, other;
  python.Run(kAsync);
  auto work = Begin(python, R"(
ch = interpd.channel('async.in')
async def main():
    print('begun')
    got = [await ch.arecv() for _ in range(1000)]
    assert got == list(range(1000)), got
    async for value in ch: got.append(value)
    assert got[1000:] == ['a', 'b'], got
    try: await ch.arecv()
    except interpd.ChannelClosed: return
    raise AssertionError
asyncio.run(main())
)");
  other.Run(R"(
ch = interpd.channel('async.in')
for i in range(1000):
    ch.send(i)
    if i % 100 == 0: time.sleep(0.002)
ch.send_many('ab'); ch.close()
)");
  EXPECT_EQ(testing::Failure(*work), "");
}

TEST(HostAsyncTest, SendsUnderBackPressure) {
  PythonInterpreter python, other;
  python.Run(kAsync);
  auto work = python.Start(R"(
async def main():
    ch = interpd.channel('async.out', capacity=3)
    for i in range(500): await ch.asend(i)
    await ch.asend(range(3), pickle=True)
    ch.close()
    try: await ch.asend(1)
    except interpd.ChannelClosed: return
    raise AssertionError
asyncio.run(main())
)");
  other.Run("assert list(interpd.channel('async.out', capacity=3)) == list(range(500)) + [range(3)]");
  EXPECT_EQ(testing::Failure(*work), "");
}

TEST(HostAsyncTest, TheLoopGoesOnMeanwhileAndTimeoutsHold) {
  PythonInterpreter python;
  python.Run(R"(
import asyncio
async def main():
    ch = interpd.channel(capacity=1)
    ticks = 0
    async def tick():
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.001)
    ticking = asyncio.create_task(tick())
    start = time.monotonic()
    for wait in (ch.arecv(timeout=0.05), asyncio.wait_for(ch.arecv(), 0.05)):
        try: await wait
        except TimeoutError: pass
        else: raise AssertionError
    ch.send('full')
    try: await ch.asend('more', timeout=0.05)
    except TimeoutError: pass
    else: raise AssertionError
    assert 0.15 <= time.monotonic() - start < 5 and ticks > 20, ticks
    assert await ch.arecv(timeout=0) == 'full' and len(ch) == 0
    ticking.cancel()
asyncio.run(main())
)");
}

TEST(HostAsyncTest, ManyConcurrentReceivesAreServedInTurn) {
  PythonInterpreter python, other;
  python.Run(kAsync);
  auto work = Begin(python, R"(
async def main():
    ch = interpd.channel('async.many')
    before = threading.active_count()
    tasks = [asyncio.create_task(ch.arecv()) for _ in range(2000)]
    await asyncio.sleep(0)
    assert threading.active_count() == before      # no thread waits
    print('begun')
    return await asyncio.gather(*tasks)
got = asyncio.run(main())
assert got == list(range(2000)), [pair for pair in enumerate(got) if pair[0] != pair[1]][:5]
)");
  other.Run(
      "interpd.channel('async.many', capacity=1024).send_many(range(2000)); interpd.channel('async.many').close()");
  EXPECT_EQ(testing::Failure(*work), "");
}

TEST(HostAsyncTest, SeveralInterpretersAwaitOneChannel) {
  PythonInterpreter one, two, sender;
  std::vector<std::shared_ptr<testing::BegunWork>> works;
  for (PythonInterpreter* each : {&one, &two}) {
    each->Run(kAsync);
    works.push_back(Begin(*each, R"(
async def take(ch, n):
    got = []
    try:
        while True: got.append(await ch.arecv())
    except interpd.ChannelClosed: return got
async def main():
    print('begun')
    ch = interpd.channel('async.shared', capacity=16)
    return [x for got in await asyncio.gather(*(take(ch, n) for n in range(20))) for x in got]
interpd.channel('async.got').send(asyncio.run(main()))
)"));
  }
  sender.Run(R"(
ch = interpd.channel('async.shared', capacity=16)
ch.send_many(range(5000)); ch.close()
got = [interpd.channel('async.got').recv(timeout=60) for _ in range(2)]
assert sorted(got[0] + got[1]) == list(range(5000)), (len(got[0]), len(got[1]))
interpd.channel('async.got').close()
)");
  for (auto& work : works) EXPECT_EQ(testing::Failure(*work), "");
}

TEST(HostAsyncTest, CancellingLosesNothing) {
  PythonInterpreter python, other;
  python.Run(kAsync);
  auto work = Begin(python, R"(
import random
random.seed(4)
async def main():
    ch = interpd.channel('async.cancel', capacity=8)
    print('begun')
    got = []
    async def take():
        while True: got.append(await ch.arecv())
    tasks = {asyncio.create_task(take()) for _ in range(10)}
    for _ in range(3000):
        victim = random.choice(list(tasks))
        victim.cancel()
        tasks.remove(victim); tasks.add(asyncio.create_task(take()))
        await asyncio.sleep(0)
        if random.random() < 0.1: await asyncio.sleep(0.0001)
    ch.close()
    await asyncio.gather(*tasks, return_exceptions=True)      # they drain it
    sent = interpd.channel('async.cancel.sent').recv(timeout=60)
    assert sorted(got) == list(range(sent)), (len(got), sent)
asyncio.run(main())
import _interpd_helpers
assert not _interpd_helpers._waiting
)");
  other.Run(R"(
ch, sent = interpd.channel('async.cancel', capacity=8), 0
try:
    while True:
        ch.send(sent)
        sent += 1
except interpd.ChannelClosed: pass
with interpd.channel('async.cancel.sent') as report: report.send(sent)
)");
  EXPECT_EQ(testing::Failure(*work), "");
}

TEST(HostAsyncTest, WhoIsCancelledPassesTheTurnOn) {
  PythonInterpreter python;
  python.Run(R"(
import asyncio
async def main():
    ch = interpd.channel()
    first, second = asyncio.create_task(ch.arecv()), asyncio.create_task(ch.arecv())
    await asyncio.sleep(0)
    ch.send('for one of you')
    first.cancel()                # it may have been told of the value already
    assert await asyncio.wait_for(second, 30) == 'for one of you'
asyncio.run(main())
)");
}

TEST(HostAsyncTest, LoopsOnBackgroundThreadsWakeWhileTheInterpreterIsIdle) {
  PythonInterpreter python, other;
  python.Run(R"(
import asyncio
async def echo():
    async for value in interpd.channel('async.ask'): await interpd.channel('async.answer').asend(value + 1)
threads = [threading.Thread(target=lambda: asyncio.run(echo())) for _ in range(2)]
for t in threads: t.start()
)");
  other.Run(R"(
ask, answer = interpd.channel('async.ask'), interpd.channel('async.answer')
for i in range(300):
    ask.send(i)
    assert answer.recv(timeout=30) == i + 1
ask.close(); answer.close()
)");
  python.Run("for t in threads: t.join()");
}

TEST(HostAsyncTest, AwaitsInCallsAndInterrupts) {
  const int64_t before = testing::LiveObjects();
  {
    PythonInterpreter python;
    python.Run(R"(
import asyncio
never = interpd.channel()
async def soon():
    ch = interpd.channel()
    asyncio.get_running_loop().call_later(0.01, ch.send, 'soon')
    return await ch.arecv()
async def wait():
    print('begun')
    await never.arecv()
)");
    auto soon = python.Call("soon");
    ASSERT_TRUE(soon.ok()) << soon.status();
    EXPECT_EQ(soon->value, channels::Value::Str("soon"));
    auto work = Begin(python, "asyncio.run(wait())");
    python->Interrupt();
    ASSERT_TRUE(work->WaitFor(absl::Seconds(60)));
    EXPECT_EQ(std::get<interp::ExecResult>(work->result()->value).exception->type, "KeyboardInterrupt");
    // Left waiting on the interpreter's own loop, which ends with it.
    python.Run("threading.Thread(target=lambda: asyncio.run(wait()), daemon=True).start()");
  }
  EXPECT_EQ(testing::LiveObjects(), before);
}

}  // namespace
}  // namespace interpd
