// Hosted code that waits on channels: it ends at once when it is interrupted, cancelled or closed, holds up no other
// thread of its interpreter, and loses nothing.
#include <gtest/gtest.h>

#include <thread>
#include <variant>
#include <vector>

#include "absl/time/clock.h"
#include "channels/channel.h"
#include "tests/interp/run_python.h"

namespace interpd {
namespace {

using testing::Begin;
using testing::BegunWork;
using testing::PythonInterpreter;

// Blocks for ever, one way or another, after a line of output.
class WaitTest : public ::testing::TestWithParam<const char*> {
 protected:
  static std::string Code() {
    return std::string(R"(
ch, full, meet = interpd.channel(), interpd.channel(capacity=1), interpd.channel(capacity=0)
full.send('there')
print('begun')
)") + GetParam();
  }
};

TEST_P(WaitTest, OneInterruptEndsIt) {
  PythonInterpreter python;
  auto work = Begin(python, Code());
  // The code may still be between its first line and its wait: the interrupt is seen all the same, and once is enough.
  const absl::Time before = absl::Now();
  ASSERT_TRUE(python->Interrupt());
  ASSERT_TRUE(work->WaitFor(absl::Seconds(60)));
  EXPECT_LT(absl::Now() - before, absl::Seconds(5));
  auto& result = std::get<interp::ExecResult>(work->result()->value);
  ASSERT_NE(result.exception, nullptr);
  EXPECT_EQ(result.exception->type, "KeyboardInterrupt");
  python.Run("assert full.recv() == 'there' and len(full) == len(ch) == len(meet) == 0");
}

TEST_P(WaitTest, CancelEndsIt) {
  PythonInterpreter python;
  auto work = Begin(python, Code());
  python->Cancel(work);
  ASSERT_TRUE(work->WaitFor(absl::Seconds(60)));
  EXPECT_EQ(work->result().status().code(), absl::StatusCode::kCancelled);
  python.Run("assert full.recv() == 'there'");
}

TEST_P(WaitTest, ClosingTheInterpreterEndsIt) {
  const int64_t before = testing::LiveObjects();
  {
    PythonInterpreter python;
    auto work = Begin(python, Code());
    EXPECT_EQ(python.Close(absl::ZeroDuration()), interp::State::kClosed);
    EXPECT_TRUE(work->WaitFor(absl::ZeroDuration()));
  }
  EXPECT_EQ(testing::LiveObjects(), before);
}

TEST_P(WaitTest, OtherThreadsGoOn) {
  PythonInterpreter python;
  auto work = Begin(python, R"(
ticks = interpd.channel('ticks')
def tick():
    n = 1
    while not ticks.closed:
        try:
            ticks.try_send(n)
            n += 1
        except interpd.ChannelError: time.sleep(0.001)
thread = threading.Thread(target=tick, daemon=True); thread.start()
)" + Code());
  PythonInterpreter other;
  other.Run("assert [interpd.channel('ticks').recv(timeout=30) for _ in range(3000)] == list(range(1, 3001))");
  other.Run("with interpd.channel('ticks') as ticks: pass\nlist(ticks)");
  python->Interrupt();
  ASSERT_TRUE(work->WaitFor(absl::Seconds(60)));
}

TEST_P(WaitTest, BackgroundThreadsThatWaitLetTheInterpreterEnd) {
  const int64_t before = testing::LiveObjects();
  {
    PythonInterpreter python;
    // Three at once, on one set of channels.
    std::string body = Code();
    for (size_t at = 0; (at = body.find('\n', at)) != std::string::npos; at += 5) body.replace(at, 1, "\n    ");
    python.Run("started = threading.Barrier(4)\ndef body():\n    started.wait()" + body + "\n" + R"(
threads = [threading.Thread(target=body) for _ in range(3)]
for thread in threads: thread.start()
started.wait()
)");
    EXPECT_EQ(python.Close(absl::ZeroDuration()), interp::State::kClosed);
  }
  EXPECT_EQ(testing::LiveObjects(), before);
}

INSTANTIATE_TEST_SUITE_P(Code, WaitTest,
                         ::testing::Values("ch.recv()", "ch.recv(1000)", "full.send(1)", "full.send_many([1, 2])",
                                           "meet.send(1)", "meet.recv()", "ch.recv_many(5)", "ch.get(timeout=1000)",
                                           "for x in ch: pass", "interpd.select([ch, (full, 1), meet])",
                                           "interpd.select([interpd.channel() for _ in range(300)], 1000)"));

TEST(WaitLossTest, InterruptsAtAnyMomentLoseAndDoubleNothing) {
  // One interpreter is interrupted again and again, at moments that nobody chooses, while it receives; what its
  // receives have returned and what is left in the channel are all that was sent.
  PythonInterpreter receiver, sender;
  receiver.Run(R"(
ch = interpd.channel('interrupted', capacity=16)
got = []
def receive():
    while True:
        # An assignment to a list's tail is one bytecode after the call: an interrupt between them would lose a value
        # that the call returned. extend() of an iterator receives within one call.
        got.extend(ch)
)");
  constexpr int kValues = 20'000;
  std::thread interrupting;
  auto sending = sender.Start(absl::StrCat(R"(
ch = interpd.channel('interrupted')
for i in range()",
                                           kValues, R"(): ch.send(i)
)"));
  int interrupts = 0;
  while (!sending->WaitFor(absl::ZeroDuration())) {
    auto work = Begin(receiver, "print('begun')\nreceive()");
    receiver->Interrupt();
    ASSERT_TRUE(work->WaitFor(absl::Seconds(60)));
    ++interrupts;
  }
  EXPECT_EQ(testing::Failure(*sending), "");
  EXPECT_GT(interrupts, 10);
  receiver.Run(absl::StrCat(R"(
try:
    while True: got.append(ch.try_recv())
except interpd.ChannelEmpty: pass
assert got == list(range()",
                            kValues, R"()), (len(got), [x for x in range(20000) if x not in set(got)][:5])
ch.close()
)"));
}

TEST(WaitLossTest, AReceiverThatIsClosedWhileItWaitsTakesNothing) {
  auto one = std::make_unique<PythonInterpreter>();
  PythonInterpreter two;
  auto work = Begin(*one, "print('begun'); got = interpd.channel('orphan').recv()");
  one->Close(absl::ZeroDuration());
  two.Run("ch = interpd.channel('orphan'); ch.send('kept')");
  one.reset();
  two.Run("assert ch.recv(timeout=0) == 'kept'; ch.close()");
}

TEST(WaitLossTest, ASenderThatIsClosedWhileItWaitsHasSentWhatItSent) {
  PythonInterpreter two;
  {
    PythonInterpreter one;
    auto work = Begin(one, R"(
ch = interpd.channel('full.end', capacity=3)
ch.send_many([0, 1, 2])
print('begun')
ch.send(3)
)");
    EXPECT_EQ(one.Close(absl::ZeroDuration()), interp::State::kClosed);
  }
  two.Run("ch = interpd.channel('full.end'); assert ch.recv_many(9) == [0, 1, 2] and len(ch) == 0; ch.close()");
}

TEST(WaitWakeTest, ClosingTheChannelWakesAHundredWaiters) {
  PythonInterpreter one, two;
  constexpr char kWaiters[] = R"(
ch = interpd.channel('crowd')
woken = []
ready = threading.Semaphore(0)
def wait():
    ready.release()
    try: ch.recv()
    except interpd.ChannelClosed: woken.append(1)
threads = [threading.Thread(target=wait) for _ in range(50)]
for t in threads: t.start()
for t in threads: ready.acquire()
)";
  one.Run(kWaiters);
  two.Run(kWaiters);
  one.Run("ch.close()");
  for (PythonInterpreter* each : {&one, &two}) each->Run("for t in threads: t.join()\nassert len(woken) == 50");
}

TEST(WaitWakeTest, ManyThreadsOfManyInterpretersShareAChannel) {
  PythonInterpreter one, two;
  for (PythonInterpreter* each : {&one, &two}) {
    each->Run(R"(
work, results = interpd.channel('work', capacity=8), interpd.channel('results', capacity=8)
def serve():
    for n in work: results.send(n * n)
threads = [threading.Thread(target=serve) for _ in range(3)]
for t in threads: t.start()
)");
  }
  auto feeding = one.Start("work.send_many(range(3000)); work.close()");
  two.Run("assert sorted(results.recv(timeout=60) for _ in range(3000)) == [n * n for n in range(3000)]");
  EXPECT_EQ(testing::Failure(*feeding), "");
  for (PythonInterpreter* each : {&one, &two}) each->Run("for t in threads: t.join()\nresults.close()");
}

TEST(WaitStacksTest, WhoWaitsOnAChannelTellsItsStack) {
  PythonInterpreter python;
  auto work = Begin(python, "def waiting():\n  print('begun'); interpd.channel().recv()\nwaiting()");
  absl::Notification answered;
  std::string text;
  python->DumpStacks([&](std::string result) {
    text = std::move(result);
    answered.Notify();
  });
  answered.WaitForNotification();
  EXPECT_NE(text.find("in waiting"), std::string::npos) << text;
  python->Interrupt();
  work->result();
}

}  // namespace
}  // namespace interpd
