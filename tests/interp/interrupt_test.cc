// Interrupt and Cancel: running code, blocked code, code that resists, waiting work.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "channels/error.h"
#include "tests/testing/host.h"

namespace interpd {
namespace {

using testing::RecordedWork;
using testing::TestInterpreter;

// Starts code that says when it has begun.
class StartedWork : public RecordedWork {
 public:
  using RecordedWork::RecordedWork;
  bool Output(interp::Stream stream, std::string_view data) override {
    RecordedWork::Output(stream, data);
    if (!begun_.HasBeenNotified()) begun_.Notify();
    return true;
  }
  void WaitUntilBegun() { begun_.WaitForNotification(); }

 private:
  absl::Notification begun_;
};

std::shared_ptr<StartedWork> Begin(TestInterpreter& interpreter, const std::string& source) {
  auto work = std::make_shared<StartedWork>(interp::ExecRequest{.source = "print('begun')\n" + source});
  EXPECT_TRUE(interpreter->Submit(work).ok());
  work->WaitUntilBegun();
  return work;
}

class InterruptTest : public ::testing::TestWithParam<const char*> {};

TEST_P(InterruptTest, InterruptIsKeyboardInterrupt) {
  TestInterpreter interpreter;
  auto work = Begin(interpreter, GetParam());
  // The code may be anywhere between its first line and its wait: as Ctrl-C, it may take more than one.
  while (!work->WaitFor(absl::Milliseconds(50))) interpreter->Interrupt();
  ASSERT_TRUE(work->result().ok()) << work->result().status();
  auto& result = std::get<interp::ExecResult>(work->result()->value);
  ASSERT_NE(result.exception, nullptr);
  EXPECT_EQ(result.exception->type, "KeyboardInterrupt");
  EXPECT_EQ(interpreter.Exec("print('alive')").out, "alive\n");
}

TEST_P(InterruptTest, CancelEndsItAsCancelled) {
  TestInterpreter interpreter;
  auto work = Begin(interpreter, GetParam());
  interpreter->Cancel(work);
  EXPECT_EQ(work->result().status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(interpreter.Exec("print('alive')").out, "alive\n");
}

INSTANTIATE_TEST_SUITE_P(Code, InterruptTest,
                         ::testing::Values("while True: pass", "import time; time.sleep(1000)",
                                           "import threading; threading.Event().wait()",
                                           "import queue; queue.Queue().get()",
                                           "import threading; t = threading.Thread(target=threading.Event().wait, "
                                           "args=(3,)); t.start(); t.join()",
                                           "while True: print('flood' * 1000)",
                                           "import asyncio; asyncio.run(asyncio.sleep(1000))",
                                           "import socket; a, b = socket.socketpair(); a.recv(1)",
                                           "import os; r, w = os.pipe(); os.read(r, 1)",
                                           "import subprocess; subprocess.run(['sleep', '1000'])"));

TEST(CancelTest, CodeThatCatchesIsInterruptedAgain) {
  TestInterpreter interpreter;
  auto work = std::make_shared<StartedWork>(interp::ExecRequest{.source = R"(
n = 0
while n < 3:
    try:
        print('begun')
        while True: pass
    except KeyboardInterrupt:
        n += 1
)"});
  ASSERT_TRUE(interpreter->Submit(work).ok());
  work->WaitUntilBegun();
  interpreter->Cancel(work);
  EXPECT_EQ(work->result().status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(interpreter.Exec("print(n)").out, "3\n");
}

TEST(CancelTest, WaitingWorkIsDropped) {
  TestInterpreter interpreter;
  auto running = Begin(interpreter, "import time; time.sleep(1000)");
  auto waiting = interpreter.Start("print('never')");
  interpreter->Cancel(waiting);
  EXPECT_EQ(waiting->result().status().code(), absl::StatusCode::kCancelled);
  interpreter->Cancel(running);
  running->result();
  EXPECT_EQ(interpreter.Exec("print('next')").out, "next\n");
  EXPECT_EQ(waiting->out(), "");
}

TEST(CancelTest, MakesRoomBeforeItIsTold) {
  interp::InterpreterConfig config;
  config.queue_limit = 2;
  TestInterpreter interpreter(config);
  auto running = Begin(interpreter, "import time; time.sleep(1000)");
  auto fill_and_cancel = [&] {
    std::vector<std::shared_ptr<RecordedWork>> waiting = {interpreter.Start("pass"), interpreter.Start("pass")};
    EXPECT_EQ(channels::GetErrorInfo(interpreter.Exec("pass").status).reason, "QUEUE_FULL");
    for (auto& work : waiting) interpreter->Cancel(work);
    return waiting;
  };
  for (auto& work : fill_and_cancel()) EXPECT_EQ(work->result().status().code(), absl::StatusCode::kCancelled);
  // The next ones stay until their turn comes, so that they cannot be piled up.
  auto staying = fill_and_cancel();
  EXPECT_FALSE(staying[0]->WaitFor(absl::Milliseconds(10)));
  interpreter->Cancel(running);
  for (auto& work : staying) EXPECT_EQ(work->result().status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(interpreter.Exec("print('next')").out, "next\n");
}

TEST(CancelTest, NeverHitsTheNextWork) {
  TestInterpreter interpreter;
  for (int i = 0; i < 300; ++i) {
    auto work = interpreter.Start("x = sum(range(100))");
    interpreter->Cancel(work);
    work->result();
    auto next = interpreter.Exec("y = sum(range(2000))");
    ASSERT_TRUE(next.status.ok());
    ASSERT_EQ(next.result.exception, nullptr) << i << next.result.exception->formatted;
  }
}

TEST(CancelTest, CoroutineCall) {
  TestInterpreter interpreter;
  interpreter.Exec(R"(
import asyncio
async def forever():
    print('begun')
    while True: await asyncio.sleep(0.01)
async def count(): return len(asyncio.all_tasks())
)");
  auto work = std::make_shared<StartedWork>(interp::CallRequest{.target = "forever"});
  ASSERT_TRUE(interpreter->Submit(work).ok());
  work->WaitUntilBegun();
  interpreter->Cancel(work);
  EXPECT_EQ(work->result().status().code(), absl::StatusCode::kCancelled);
  // Nothing of it goes on on the loop.
  EXPECT_EQ(interpreter.Call("count")->value, channels::Value::Int(1));
}

// Takes output only when it is let.
class SlowWork : public StartedWork {
 public:
  using StartedWork::StartedWork;
  bool Output(interp::Stream stream, std::string_view data) override {
    StartedWork::Output(stream, data);
    return open_.load();
  }
  void Open() { open_ = true; }

 private:
  std::atomic<bool> open_{false};
};

TEST(InterruptTest, CutsOffNoOutputThatIsWrittenOutAtTheEnd) {
  TestInterpreter interpreter;
  // More than a pipe holds, without a newline: it waits in sys.stdout until the end.
  auto work = std::make_shared<SlowWork>(interp::ExecRequest{
      .source = "import sys\nprint('begun')\nsys.stdout.reconfigure(line_buffering=False)\nfor i in range(600): "
                "sys.stdout.write('x' * 1000)"});
  ASSERT_TRUE(interpreter->Submit(work).ok());
  work->WaitUntilBegun();
  EXPECT_FALSE(work->WaitFor(absl::Milliseconds(100)));
  interpreter->Interrupt();  // hits the writes of the code, or the end; either way nothing is lost unsaid
  work->Open();
  while (!work->WaitFor(absl::Milliseconds(5))) interpreter->ResumeOutput();
  ASSERT_TRUE(work->result().ok());
  auto& result = std::get<interp::ExecResult>(work->result()->value);
  if (result.exception == nullptr) {
    EXPECT_EQ(work->out().size(), 600'006u);
  }
}

TEST(InterruptIdleTest, NothingHappens) {
  TestInterpreter interpreter;
  EXPECT_FALSE(interpreter->Interrupt());
  EXPECT_EQ(interpreter.Exec("print('fine')").out, "fine\n");
}

std::string Stacks(TestInterpreter& interpreter) {
  absl::Notification answered;
  std::string text;
  interpreter->DumpStacks([&](std::string result) {
    text = std::move(result);
    answered.Notify();
  });
  answered.WaitForNotification();
  return text;
}

TEST(StacksTest, OfRunningAndIdle) {
  TestInterpreter interpreter;
  auto work = Begin(interpreter, "def busy():\n  while True: pass\nbusy()");
  std::string stacks = Stacks(interpreter);
  while (stacks.find("in busy") == std::string::npos) stacks = Stacks(interpreter);  // it may be about to call it
  interpreter->Cancel(work);
  work->result();
  EXPECT_THAT(Stacks(interpreter), ::testing::Not(::testing::HasSubstr("no answer")));
}

TEST(StacksTest, OfBlockedCodeThatThenGoesOn) {
  TestInterpreter interpreter;
  const std::string pipe = ::testing::TempDir() + "/stacks_test_pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  auto work = Begin(interpreter, "def blocked():\n  return open('" + pipe + "').read()\nprint(blocked())");
  std::string stacks = Stacks(interpreter);
  // Asked often enough, it answers before it has come so far.
  const absl::Time end = absl::Now() + absl::Seconds(10);
  while (!absl::StrContains(stacks, "in blocked") && absl::Now() < end) stacks = Stacks(interpreter);
  EXPECT_THAT(stacks, ::testing::HasSubstr("in blocked"));
  std::ofstream(pipe) << "went on";
  work->result();
  EXPECT_EQ(work->out(), "begun\nwent on\n");
}

}  // namespace
}  // namespace interpd
