// What exec promises: namespace, arguments, exit codes, exceptions, output, the standard library.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "channels/error.h"
#include "tests/testing/host.h"

namespace interpd {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using testing::ExecOutcome;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::TestInterpreter;

TEST(ExecTest, NamespaceLasts) {
  TestInterpreter interpreter;
  EXPECT_EQ(interpreter.Exec("x = 20").result.exit_code, 0);
  ExecOutcome outcome = interpreter.Exec("print(x + 1, __name__)");
  EXPECT_EQ(outcome.out, "21 __main__\n");
  EXPECT_EQ(outcome.err, "");
}

TEST(ExecTest, ArgumentsAndFile) {
  TestInterpreter interpreter;
  EXPECT_EQ(interpreter.Exec("import sys; print(sys.argv, __file__)", {.filename = "job.py", .args = {"a", "-b"}}).out,
            "['job.py', 'a', '-b'] job.py\n");
  EXPECT_EQ(interpreter.Exec("print(sys.argv, '__file__' in globals())").out, "['-c'] False\n");
}

TEST(ExecTest, ExceptionIsResult) {
  TestInterpreter interpreter;
  ExecOutcome outcome = interpreter.Exec("def f():\n    return {}['no']\n\nf()\n");
  ASSERT_TRUE(outcome.status.ok());
  EXPECT_EQ(outcome.result.exit_code, 1);
  ASSERT_NE(outcome.result.exception, nullptr);
  const interp::ExceptionInfo& info = *outcome.result.exception;
  EXPECT_EQ(info.type, "KeyError");
  EXPECT_EQ(info.qualified_name, "KeyError");
  EXPECT_EQ(info.message, "'no'");
  ASSERT_EQ(info.frames.size(), 2u);
  EXPECT_EQ(info.frames[1].line, 2);
  EXPECT_EQ(info.frames[1].function, "f");
  EXPECT_EQ(info.frames[1].source, "return {}['no']");
  EXPECT_THAT(info.formatted, HasSubstr("    return {}['no']"));
  EXPECT_THAT(info.formatted, EndsWith("KeyError: 'no'\n"));
  EXPECT_EQ(outcome.err, "");
}

TEST(ExecTest, CauseContextAndNotes) {
  TestInterpreter interpreter;
  ExecOutcome outcome = interpreter.Exec(R"(
class Oops(Exception): pass
try:
    try:
        1 / 0
    except ZeroDivisionError:
        raise ValueError('second')
except ValueError as e:
    error = Oops('third')
    error.add_note('remember')
    raise error from e
)");
  ASSERT_NE(outcome.result.exception, nullptr);
  const interp::ExceptionInfo& info = *outcome.result.exception;
  EXPECT_EQ(info.qualified_name, "__main__.Oops");
  EXPECT_THAT(info.notes, ElementsAre("remember"));
  ASSERT_NE(info.cause, nullptr);
  EXPECT_EQ(info.cause->type, "ValueError");
  ASSERT_NE(info.cause->context, nullptr);
  EXPECT_EQ(info.cause->context->type, "ZeroDivisionError");
  EXPECT_EQ(info.context, nullptr);  // suppressed by `from`
}

TEST(ExecTest, HostedTracebackShowsSource) {
  TestInterpreter interpreter;
  ExecOutcome outcome =
      interpreter.Exec("import traceback\ntry:\n    1 / 0\nexcept ZeroDivisionError:\n    traceback.print_exc()");
  EXPECT_THAT(outcome.err, HasSubstr("    1 / 0\n"));
}

TEST(ExecTest, SystemExit) {
  TestInterpreter interpreter;
  EXPECT_EQ(interpreter.Exec("raise SystemExit").result.exit_code, 0);
  EXPECT_EQ(interpreter.Exec("import sys; sys.exit(7)").result.exit_code, 7);
  ExecOutcome outcome = interpreter.Exec("sys.exit('gone')");
  EXPECT_EQ(outcome.result.exit_code, 1);
  EXPECT_EQ(outcome.result.exception, nullptr);
  EXPECT_EQ(outcome.err, "gone\n");
  EXPECT_EQ(interpreter.Exec("print('still here')").out, "still here\n");
}

TEST(ExecTest, BadSource) {
  TestInterpreter interpreter;
  ExecOutcome outcome = interpreter.Exec("x = = 1");
  ASSERT_NE(outcome.result.exception, nullptr);
  EXPECT_EQ(outcome.result.exception->type, "SyntaxError");
  EXPECT_THAT(outcome.result.exception->formatted, HasSubstr("x = = 1"));

  outcome = interpreter.Exec("x = '\xff\xfe'");
  ASSERT_NE(outcome.result.exception, nullptr);
  EXPECT_EQ(outcome.result.exception->type, "SyntaxError");

  outcome = interpreter.Exec(std::string("x = 1\0y", 7));
  ASSERT_NE(outcome.result.exception, nullptr);
  EXPECT_THAT(outcome.result.exception->message, HasSubstr("null bytes"));

  outcome = interpreter.Exec(std::string(200000, '(') + std::string(200000, ')'));
  ASSERT_NE(outcome.result.exception, nullptr);

  outcome = interpreter.Exec(std::string(interp::kMaxSourceBytes + 1, '#'));
  EXPECT_EQ(channels::GetErrorInfo(outcome.status).reason, "SOURCE_TOO_LARGE");
  EXPECT_EQ(interpreter.Exec("print(1)").out, "1\n");
}

TEST(ExecTest, CodingLine) {
  TestInterpreter interpreter;
  EXPECT_EQ(interpreter.Exec("# coding: latin-1\nprint(ascii('\xe9'))").out, "'\\xe9'\n");
}

TEST(ExecTest, DeepRecursionIsAnException) {
  TestInterpreter interpreter;
  ExecOutcome outcome = interpreter.Exec("def f(n): return f(n + 1)\nf(0)");
  ASSERT_NE(outcome.result.exception, nullptr);
  EXPECT_EQ(outcome.result.exception->type, "RecursionError");
  EXPECT_LE(outcome.result.exception->frames.size(), 200u);
}

TEST(ExecTest, ExceptionWhoseStrRaises) {
  TestInterpreter interpreter;
  ExecOutcome outcome = interpreter.Exec("class E(Exception):\n  def __str__(self): raise ValueError\nraise E");
  ASSERT_NE(outcome.result.exception, nullptr);
  EXPECT_EQ(outcome.result.exception->type, "E");
}

TEST(ExecTest, OutputOfPythonCAndChildren) {
  TestInterpreter interpreter;
  ExecOutcome outcome = interpreter.Exec(R"(
import ctypes, os, subprocess, sys
print('python')
os.write(1, b'fd\n')
ctypes.CDLL(None).printf(b'libc\n')
subprocess.run(['echo', 'child'], check=True)
sys.stdout.write('no newline')
sys.stderr.write('error')
)");
  ASSERT_EQ(outcome.result.exception, nullptr) << outcome.result.exception->formatted;
  EXPECT_EQ(outcome.out, "python\nfd\nlibc\nchild\nno newline");
  EXPECT_EQ(outcome.err, "error");
}

TEST(ExecTest, MuchOutputIsComplete) {
  TestInterpreter interpreter;
  ExecOutcome outcome = interpreter.Exec("for i in range(200000): print(i)\nprint('x' * 3_000_000)");
  size_t expected = 0;
  for (int i = 0; i < 200000; ++i) expected += std::to_string(i).size() + 1;
  EXPECT_EQ(outcome.out.size(), expected + 3'000'001);
}

TEST(ExecTest, OutputIsAttributedToItsExec) {
  TestInterpreter interpreter;
  for (int i = 0; i < 200; ++i) {
    EXPECT_EQ(interpreter.Exec("import os; os.write(2, b'" + std::to_string(i) + "')").err, std::to_string(i));
  }
}

TEST(ExecTest, InputGetsEof) {
  TestInterpreter interpreter;
  ExecOutcome outcome = interpreter.Exec("input()");
  ASSERT_NE(outcome.result.exception, nullptr);
  EXPECT_EQ(outcome.result.exception->type, "EOFError");
}

TEST(ExecTest, StandardLibraryWorks) {
  TestInterpreter interpreter;
  ExecOutcome outcome = interpreter.Exec(R"(
import asyncio, ctypes, sqlite3, ssl, subprocess, threading, concurrent.futures, json, re, decimal, multiprocessing
async def f(): await asyncio.sleep(0.001); return 1
assert asyncio.run(f()) == 1
assert sqlite3.connect(':memory:').execute('select 2').fetchone() == (2,)
ssl.create_default_context()
assert subprocess.run(['cat'], input=b'3', capture_output=True).stdout == b'3'
seen = []
thread = threading.Thread(target=lambda: seen.append(4)); thread.start(); thread.join()
assert seen == [4]
with concurrent.futures.ThreadPoolExecutor(2) as pool: assert sum(pool.map(int, '123')) == 6
assert threading.current_thread() is threading.main_thread()
import sys
assert subprocess.run([sys.executable, '-c', 'print(5)'], capture_output=True).stdout == b'5\n'
)");
  EXPECT_EQ(outcome.result.exception, nullptr) << outcome.result.exception->formatted;
}

TEST(ExecTest, ThreadsOfTwoInterpretersShareNothing) {
  TestInterpreter one, two;
  one.Exec("import os, sys; os.chdir('/'); os.umask(0o77); x = 1; sys.path.append('mine'); import json; json.x = 1");
  ExecOutcome outcome = two.Exec(R"(
import os, sys, json
assert os.getcwd() != '/', os.getcwd()
old = os.umask(0o22); assert old != 0o77, old
assert 'x' not in globals() and 'mine' not in sys.path and not hasattr(json, 'x')
)",
                                 {});
  EXPECT_EQ(outcome.result.exception, nullptr) << outcome.result.exception->formatted;
}

TEST(ExecTest, FileDescriptorsAreItsOwn) {
  TestInterpreter one, two;
  ExecOutcome outcome = one.Exec(R"(
import os
assert set(os.listdir('/proc/thread-self/fd')) <= {'0', '1', '2', '3', '60'}, os.listdir('/proc/thread-self/fd')
os.closerange(3, 1000)
for fd in (0, 1, 2): os.close(fd)
)");
  EXPECT_EQ(outcome.result.exception, nullptr) << outcome.result.exception->formatted;
  EXPECT_EQ(two.Exec("print('unharmed')").out, "unharmed\n");
  // Its own output is gone, it itself is not.
  EXPECT_EQ(one.Call("builtins:len",
                     [] {
                       channels::ValueBuilder builder;
                       builder.Begin(channels::Kind::kTuple, 1);
                       builder.Str("four");
                       return std::move(builder).Finish();
                     }())
                ->value,
            channels::Value::Int(4));
}

TEST(ExecTest, Interactive) {
  TestInterpreter interpreter;
  EXPECT_EQ(interpreter.Exec("1 + 1", {.interactive = true}).out, "2\n");
  EXPECT_TRUE(interpreter.Exec("def f():", {.interactive = true}).result.incomplete);
  EXPECT_EQ(interpreter.Exec("def f():\n  return 'x'\n", {.interactive = true}).result.exit_code, 0);
  EXPECT_EQ(interpreter.Exec("f()", {.interactive = true}).out, "'x'\n");
  ExecOutcome outcome = interpreter.Exec("1 +* 2", {.interactive = true});
  ASSERT_NE(outcome.result.exception, nullptr);
  EXPECT_EQ(outcome.result.exception->type, "SyntaxError");
}

TEST(ExecTest, BackgroundOutputGoesToTheLog) {
  TestInterpreter interpreter;
  ExecOutcome outcome = interpreter.Exec(R"(
import threading, os
go = threading.Event()
def late(): go.wait(); os.write(1, b'late\n'); done.set()
done = threading.Event()
threading.Thread(target=late).start()
print('early')
)");
  EXPECT_EQ(outcome.out, "early\n");
  absl::Notification grown;
  int64_t id = interpreter->ListenToLog([&] { grown.Notify(); });
  // Not by an exec, whose output this would be: a thread that waits sets it off.
  interpreter.Exec("import threading, time; threading.Timer(0.05, go.set).start()");
  grown.WaitForNotification();
  interpreter->StopListening(id);
  uint64_t cursor = 0;
  EXPECT_EQ(interpreter->ReadLog(&cursor, 100).data, "late\n");
  EXPECT_EQ(interpreter->ReadLog(&cursor, 100).data, "");
}

TEST(ExecTest, SetUpAndPath) {
  interp::InterpreterConfig config;
  config.path = {"/first", "/second"};
  config.setup_source = "import sys\nready = sys.path[:2]\nprint('to the log')";
  config.cwd = "/usr";
  TestInterpreter interpreter(config);
  EXPECT_EQ(interpreter.Exec("import os; print(ready, os.getcwd())").out, "['/first', '/second'] /usr\n");
  uint64_t cursor = 0;
  EXPECT_EQ(interpreter->ReadLog(&cursor, 100).data, "to the log\n");
}

TEST(ExecTest, Site) {
  interp::InterpreterConfig config;
  config.site = true;
  TestInterpreter with(config), without;
  constexpr char kCode[] = "import sys; print(any('-packages' in p for p in sys.path))";
  EXPECT_EQ(with.Exec(kCode).out, "True\n");
  EXPECT_EQ(without.Exec(kCode).out, "False\n");
}

}  // namespace
}  // namespace interpd
