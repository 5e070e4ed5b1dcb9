// Create and close: states, limits, threads that are left, interpreters that will not end.
#include <dirent.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "channels/error.h"
#include "tests/testing/host.h"

namespace interpd {
namespace {

using interp::State;
using ::testing::HasSubstr;
using testing::Host;
using testing::TestInterpreter;

std::string Reason(const absl::Status& status) { return channels::GetErrorInfo(status).reason; }

int CountEntries(const char* directory) {
  DIR* dir = opendir(directory);
  int count = 0;
  while (readdir(dir) != nullptr) ++count;
  closedir(dir);
  return count;
}

absl::Status CreateAndWait(std::string_view name, interp::InterpreterConfig config) {
  absl::Notification made;
  absl::Status status;
  auto interpreter = Host().Create(name, std::move(config), [&](absl::Status result) {
    status = std::move(result);
    made.Notify();
  });
  if (!interpreter.ok()) return interpreter.status();
  made.WaitForNotification();
  return status;
}

TEST(LifecycleTest, NamesAndStates) {
  TestInterpreter one({}, "one");
  EXPECT_EQ(one->info().state, State::kActive);
  EXPECT_EQ(one->name(), "one");
  EXPECT_EQ(Reason(CreateAndWait("one", {})), "INTERPRETER_EXISTS");
  EXPECT_EQ(Reason(CreateAndWait("no space", {})), "INVALID_FIELD");
  EXPECT_EQ(Reason(CreateAndWait("-x", {})), "INVALID_FIELD");
  EXPECT_EQ(Reason(CreateAndWait(std::string(64, 'a'), {})), "INVALID_FIELD");
  absl::Status missing = Host().Get("two").status();
  EXPECT_EQ(Reason(missing), "INTERPRETER_NOT_FOUND");
  EXPECT_THAT(std::string(missing.message()), HasSubstr("there are: one"));
  auto work = one.Start("import time; time.sleep(1000)");
  while (one->info().state != State::kRunning) absl::SleepFor(absl::Milliseconds(1));
  EXPECT_EQ(one->info().pending_count, 1);
  one->Cancel(work);
  EXPECT_EQ(one.Close(), State::kClosed);
  EXPECT_EQ(one->info().state, State::kClosed);
  EXPECT_EQ(one->info().completed_count, 1);
  EXPECT_FALSE(Host().Get("one").ok());
  EXPECT_EQ(Reason(one.Exec("pass").status), "INTERPRETER_CLOSING");
}

// Who waits for an interpreter holds it, and would be held by it for good.
TEST(LifecycleTest, WhoWaitedForItIsLetGo) {
  auto waiting = std::make_shared<absl::Notification>();
  auto interpreter = Host().Create("waited-for", {}, [waiting](absl::Status) { waiting->Notify(); });
  ASSERT_TRUE(interpreter.ok());
  waiting->WaitForNotification();
  const absl::Time deadline = absl::Now() + absl::Seconds(60);
  while (waiting.use_count() > 1 && absl::Now() < deadline) absl::SleepFor(absl::Milliseconds(1));
  EXPECT_EQ(waiting.use_count(), 1);
  absl::Notification closed;
  (*interpreter)->Close(absl::ZeroDuration(), [&](State) { closed.Notify(); });
  closed.WaitForNotification();
}

TEST(LifecycleTest, WorkMayBeSentBeforeItIsMade) {
  absl::Notification made;
  auto interpreter = Host().Create("early", {}, [&](absl::Status status) {
    EXPECT_TRUE(status.ok());
    made.Notify();
  });
  ASSERT_TRUE(interpreter.ok());
  auto work = std::make_shared<testing::RecordedWork>(interp::ExecRequest{.source = "print('ran')"});
  ASSERT_TRUE((*interpreter)->Submit(work).ok());
  ASSERT_TRUE(work->result().ok());
  EXPECT_EQ(work->out(), "ran\n");
  made.WaitForNotification();
  absl::Notification closed;
  (*interpreter)->Close(absl::ZeroDuration(), [&](State) { closed.Notify(); });
  closed.WaitForNotification();
}

TEST(LifecycleTest, FailedSetUpTellsWhyAndFreesTheName) {
  interp::InterpreterConfig config;
  config.setup_source = "def f():\n  raise ValueError('set-up')\nf()";
  absl::Status status = CreateAndWait("broken", config);
  EXPECT_EQ(Reason(status), "INTERPRETER_FAILED");
  EXPECT_THAT(std::string(status.message()), HasSubstr("ValueError: set-up"));
  config = {};
  config.cwd = "/no/such/directory";
  EXPECT_EQ(Reason(CreateAndWait("nowhere", config)), "INVALID_FIELD");
  config = {};
  config.venv = "/no/such/venv";
  EXPECT_THAT(std::string(CreateAndWait("venv", config).message()), HasSubstr("no virtual environment"));
  while (!Host().List("", 10).empty()) absl::SleepFor(absl::Milliseconds(1));
  TestInterpreter again({}, "broken");
}

TEST(LifecycleTest, QueueIsBounded) {
  interp::InterpreterConfig config;
  config.queue_limit = 3;
  TestInterpreter interpreter(config);
  auto running = interpreter.Start("import time; time.sleep(1000)");
  while (interpreter->info().state != State::kRunning) absl::SleepFor(absl::Milliseconds(1));
  std::vector<std::shared_ptr<testing::RecordedWork>> waiting;
  for (int i = 0; i < 3; ++i) waiting.push_back(interpreter.Start("pass"));
  EXPECT_EQ(Reason(interpreter.Exec("pass").status), "QUEUE_FULL");
  interpreter->Cancel(running);
  for (auto& work : waiting) EXPECT_TRUE(work->result().ok());
}

TEST(LifecycleTest, CloseRunsAtexitAndFinalizers) {
  TestInterpreter interpreter;
  interpreter.Exec("import atexit, os; atexit.register(lambda: print('bye', flush=True))");
  EXPECT_EQ(interpreter.Close(), State::kClosed);
  uint64_t cursor = 0;
  EXPECT_EQ(interpreter->ReadLog(&cursor, 100).data, "bye\n");
}

TEST(LifecycleTest, CloseEndsThreads) {
  TestInterpreter interpreter;
  interpreter.Exec(R"(
import threading, time, queue
def spin():
    while True: pass
for target, daemon in [(spin, False), (spin, True), (lambda: time.sleep(1000), False),
                       (threading.Event().wait, True), (queue.Queue().get, False)]:
    threading.Thread(target=target, daemon=daemon).start()
import concurrent.futures
pool = concurrent.futures.ThreadPoolExecutor(2)
pool.submit(int).result()
)");
  absl::Time start = absl::Now();
  EXPECT_EQ(interpreter.Close(), State::kClosed);
  EXPECT_LT(absl::Now() - start, absl::Seconds(4));
}

TEST(LifecycleTest, CloseDropsWaitingAndInterruptsRunning) {
  TestInterpreter interpreter;
  auto running = interpreter.Start("while True: pass");
  while (interpreter->info().state != State::kRunning) absl::SleepFor(absl::Milliseconds(1));
  auto waiting = interpreter.Start("print('never')");
  EXPECT_EQ(interpreter.Close(absl::Milliseconds(100)), State::kClosed);
  EXPECT_EQ(Reason(waiting->result().status()), "INTERPRETER_CLOSING");
  ASSERT_TRUE(running->result().ok());
  EXPECT_EQ(std::get<interp::ExecResult>(running->result()->value).exception->type, "KeyboardInterrupt");
}

TEST(LifecycleTest, GraceLetsItFinish) {
  TestInterpreter interpreter;
  auto running = interpreter.Start("import time; time.sleep(0.3); print('finished')");
  while (interpreter->info().state != State::kRunning) absl::SleepFor(absl::Milliseconds(1));
  EXPECT_EQ(interpreter.Close(absl::Seconds(20)), State::kClosed);
  EXPECT_EQ(running->out(), "finished\n");
}

TEST(LifecycleTest, CloseTwice) {
  TestInterpreter interpreter;
  auto running = interpreter.Start("while True: pass");
  absl::Notification first;
  interpreter->Close(absl::Hours(1), [&](State) { first.Notify(); });
  EXPECT_EQ(interpreter.Close(absl::ZeroDuration()), State::kClosed);
  first.WaitForNotification();
}

TEST(LifecycleTest, StuckInterpreterIsGivenUp) {
  TestInterpreter interpreter({}, "stuck");
  // A C function that sees no interrupt: a lock that the test holds. PyDLL: the GIL is kept.
  static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  pthread_mutex_lock(&mutex);
  interpreter.Exec("import ctypes\nlock = ctypes.PyDLL(None).pthread_mutex_lock");
  auto running = interpreter.Start("lock(ctypes.c_void_p(" + std::to_string(reinterpret_cast<intptr_t>(&mutex)) + "))");
  // glibc's word for "locked, and somebody sleeps": an interrupt before that would end the code in Python.
  auto word = [&] { return std::atomic_ref(mutex.__data.__lock).load(); };
  while (word() != 2) absl::SleepFor(absl::Milliseconds(1));
  EXPECT_EQ(interpreter.Close(absl::ZeroDuration()), State::kStuck);
  EXPECT_EQ(Reason(running->result().status()), "INTERPRETER_CLOSING");
  EXPECT_FALSE(Host().Get("stuck").ok());
  EXPECT_EQ(Host().info().stuck_count, 1u);
  TestInterpreter again({}, "stuck");  // the name is free
  // When it can, it ends after all.
  pthread_mutex_unlock(&mutex);
  while (Host().info().stuck_count != 0) absl::SleepFor(absl::Milliseconds(1));
}

TEST(LifecycleTest, CyclesLeakNothing) {
  auto cycle = [] {
    TestInterpreter interpreter;
    ASSERT_EQ(interpreter.Exec("import json; print(json.dumps([1]))").out, "[1]\n");
    ASSERT_EQ(interpreter.Close(), State::kClosed);
  };
  cycle();
  int fds = CountEntries("/proc/self/fd");
  int threads = CountEntries("/proc/self/task");
  for (int i = 0; i < 20; ++i) cycle();
  EXPECT_EQ(CountEntries("/proc/self/fd"), fds);
  // A joined thread may stand in /proc for a moment longer.
  absl::Time deadline = absl::Now() + absl::Seconds(5);
  while (CountEntries("/proc/self/task") > threads && absl::Now() < deadline) absl::SleepFor(absl::Milliseconds(1));
  EXPECT_LE(CountEntries("/proc/self/task"), threads);
}

TEST(LifecycleTest, ManyAtOnce) {
  std::vector<std::unique_ptr<TestInterpreter>> interpreters;
  for (int i = 0; i < 30; ++i) interpreters.push_back(std::make_unique<TestInterpreter>());
  EXPECT_EQ(Host().List("", 1000).size(), 30u);
  EXPECT_EQ(Host().info().interpreter_count, 30u);
  for (auto& interpreter : interpreters)
    EXPECT_EQ(interpreter->Call("os:getpid")->value, channels::Value::Int(getpid()));
}

}  // namespace
}  // namespace interpd
