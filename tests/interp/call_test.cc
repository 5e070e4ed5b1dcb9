// What call promises: targets, arguments, results, and every way in which they can be wrong.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "channels/error.h"
#include "tests/testing/host.h"

namespace interpd {
namespace {

using channels::Kind;
using channels::Value;
using channels::ValueBuilder;
using ::testing::HasSubstr;
using testing::Ints;
using testing::TestInterpreter;

std::string Reason(const absl::Status& status) { return channels::GetErrorInfo(status).reason; }

TEST(CallTest, ImportedAndMainFunctions) {
  TestInterpreter interpreter;
  EXPECT_EQ(interpreter.Call("math:gcd", Ints({12, 18}))->value, Value::Int(6));
  interpreter.Exec("def add(a, b, *, c=0): return a + b + c\nclass N:\n  @staticmethod\n  def f(): return 'dotted'");
  EXPECT_EQ(interpreter.Call("add", Ints({1, 2}))->value, Value::Int(3));
  ValueBuilder kwargs;
  kwargs.Begin(Kind::kDict, 2);
  kwargs.Str("c");
  kwargs.Int(10);
  EXPECT_EQ(interpreter.Call("add", Ints({1, 2}), std::move(kwargs).Finish())->value, Value::Int(13));
  EXPECT_EQ(interpreter.Call("N.f")->value, Value::Str("dotted"));
  EXPECT_EQ(interpreter
                .Call("os.path:basename",
                      [] {
                        ValueBuilder b;
                        b.Begin(Kind::kTuple, 1);
                        b.Str("/a/b");
                        return std::move(b).Finish();
                      }())
                ->value,
            Value::Str("b"));
}

TEST(CallTest, RedefinedFunctionIsSeen) {
  TestInterpreter interpreter;
  interpreter.Exec("def f(): return 1");
  EXPECT_EQ(interpreter.Call("f")->value, Value::Int(1));
  interpreter.Exec("def f(): return 2");
  EXPECT_EQ(interpreter.Call("f")->value, Value::Int(2));
}

TEST(CallTest, ValuesComeBackAsTheyWent) {
  TestInterpreter interpreter;
  interpreter.Exec("def same(x): return x");
  ValueBuilder all;
  all.Begin(Kind::kTuple, 1);
  all.Begin(Kind::kList, 14);
  all.None();
  all.Bool(true);
  all.Int(INT64_MIN);
  all.BigInt(std::string(100, '\x7f'));
  all.BigInt(std::string(9, '\0') + "\x80");
  all.Float(std::numeric_limits<double>::quiet_NaN());
  all.Float(-std::numeric_limits<double>::infinity());
  all.Complex(1.5, -0.0);
  all.Str("");
  all.Str("gr\xc3\xbc\xc3\x9f\x65 \xf0\x9f\x98\x80");
  all.Text(Kind::kSurrogateStr, "a\xed\xa0\x80z");
  all.Bytes(std::string("\0\xff", 2));
  all.Begin(Kind::kDict, 2);
  all.Begin(Kind::kFrozenSet, 1);
  all.Int(1);
  all.Begin(Kind::kSet, 1);
  all.Str("member");
  all.Begin(Kind::kTuple, 0);
  Value args = std::move(all).Finish();
  absl::StatusOr<interp::CallResult> result = interpreter.Call("same", args.Share());
  ASSERT_TRUE(result.ok()) << result.status();
  ASSERT_EQ(result->exception, nullptr) << result->exception->formatted;
  ValueBuilder wrapped;
  wrapped.Begin(Kind::kTuple, 1);
  interpreter.Exec("def wrap(x): return (x,)");
  EXPECT_EQ(interpreter.Call("wrap", args.Share())->value, args);
}

TEST(CallTest, HugeStrings) {
  TestInterpreter interpreter;
  absl::StatusOr<interp::CallResult> result = interpreter.Call("operator:mul", [] {
    ValueBuilder b;
    b.Begin(Kind::kTuple, 2);
    b.Str("\xc3\xa9");
    b.Int(10'000'000);
    return std::move(b).Finish();
  }());
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(channels::ValueReader(result->value).Next().bytes.size(), 20'000'000u);
  // Over the limit of 64 MiB.
  result = interpreter.Call("operator:mul", [] {
    ValueBuilder b;
    b.Begin(Kind::kTuple, 2);
    b.Bytes("x");
    b.Int(100'000'000);
    return std::move(b).Finish();
  }());
  EXPECT_EQ(Reason(result.status()), "VALUE_NOT_SHAREABLE");
}

TEST(CallTest, UnknownNames) {
  TestInterpreter interpreter;
  interpreter.Exec("def alpha(): pass\nvalue = 3");
  absl::Status status = interpreter.Call("beta").status();
  EXPECT_EQ(Reason(status), "TARGET_NOT_FOUND");
  EXPECT_THAT(std::string(status.message()), HasSubstr("it has: alpha"));
  EXPECT_EQ(Reason(interpreter.Call("no_such_module:f").status()), "TARGET_NOT_FOUND");
  EXPECT_EQ(Reason(interpreter.Call("math:no").status()), "TARGET_NOT_FOUND");
  EXPECT_EQ(Reason(interpreter.Call("").status()), "TARGET_NOT_FOUND");
  EXPECT_EQ(Reason(interpreter.Call(":").status()), "TARGET_NOT_FOUND");
  EXPECT_EQ(Reason(interpreter.Call("a..b").status()), "TARGET_NOT_FOUND");
  EXPECT_EQ(Reason(interpreter.Call("math:\xff").status()), "TARGET_NOT_FOUND");
  EXPECT_EQ(Reason(interpreter.Call("value").status()), "TARGET_NOT_CALLABLE");
}

TEST(CallTest, ModuleThatRaises) {
  TestInterpreter interpreter;
  interpreter.Exec(R"(
import sys, tempfile, os
d = tempfile.mkdtemp(); sys.path.insert(0, d)
open(os.path.join(d, 'broken_module.py'), 'w').write('import does_not_exist')
)");
  absl::StatusOr<interp::CallResult> result = interpreter.Call("broken_module:f");
  ASSERT_TRUE(result.ok()) << result.status();
  ASSERT_NE(result->exception, nullptr);
  EXPECT_EQ(result->exception->type, "ModuleNotFoundError");
}

TEST(CallTest, ArgumentsThatDoNotFit) {
  TestInterpreter interpreter;
  absl::StatusOr<interp::CallResult> result = interpreter.Call("math:sqrt", Ints({1, 2, 3}));
  ASSERT_TRUE(result.ok());
  ASSERT_NE(result->exception, nullptr);
  EXPECT_EQ(result->exception->type, "TypeError");
}

TEST(CallTest, UnhashableKey) {
  TestInterpreter interpreter;
  ValueBuilder b;
  b.Begin(Kind::kTuple, 1);
  b.Begin(Kind::kDict, 2);
  b.Begin(Kind::kList, 0);
  b.None();
  EXPECT_EQ(Reason(interpreter.Call("builtins:len", std::move(b).Finish()).status()), "INVALID_VALUE");
}

TEST(CallTest, ResultNotShareable) {
  TestInterpreter interpreter;
  interpreter.Exec(R"(
import threading
def nested(): return [1, 2, {'owner': threading.Lock()}]
def cyclic():
    x = []; x.append([x]); return x
def deep():
    x = []
    for _ in range(1_000_000): x = [x]
    return x
def plain(): return object()
def lone(): return '\ud800'
class Sub(dict): pass
def subclass(): return Sub(a=1)
)");
  absl::Status status = interpreter.Call("nested").status();
  EXPECT_EQ(Reason(status), "VALUE_NOT_SHAREABLE");
  EXPECT_EQ(channels::GetErrorInfo(status).metadata["path"], "[2]['owner']");
  EXPECT_EQ(channels::GetErrorInfo(status).metadata["type"], "_thread.lock");
  status = interpreter.Call("cyclic").status();
  EXPECT_EQ(channels::GetErrorInfo(status).metadata["path"], "[0][0]");
  EXPECT_THAT(std::string(status.message()), HasSubstr("contains itself"));
  EXPECT_EQ(Reason(interpreter.Call("deep").status()), "VALUE_NOT_SHAREABLE");
  EXPECT_EQ(Reason(interpreter.Call("plain").status()), "VALUE_NOT_SHAREABLE");
  EXPECT_EQ(interpreter.Call("lone")->value.kind(), Kind::kSurrogateStr);
  EXPECT_EQ(interpreter.Call("subclass")->value.kind(), Kind::kDict);
}

TEST(CallTest, CoroutinesShareOneLoop) {
  TestInterpreter interpreter;
  interpreter.Exec(R"(
import asyncio
async def double(x): await asyncio.sleep(0); return 2 * x
async def loop(): return id(asyncio.get_running_loop())
async def fail(): raise ValueError('async')
)");
  EXPECT_EQ(interpreter.Call("double", Ints({21}))->value, Value::Int(42));
  EXPECT_EQ(interpreter.Call("loop")->value, interpreter.Call("loop")->value);
  absl::StatusOr<interp::CallResult> result = interpreter.Call("fail");
  ASSERT_NE(result->exception, nullptr);
  // The traceback begins in hosted code.
  ASSERT_EQ(result->exception->frames.size(), 1u);
  EXPECT_EQ(result->exception->frames[0].function, "fail");
}

TEST(CallTest, SystemExitIsAnException) {
  TestInterpreter interpreter;
  absl::StatusOr<interp::CallResult> result = interpreter.Call("sys:exit", Ints({3}));
  ASSERT_TRUE(result.ok());
  ASSERT_NE(result->exception, nullptr);
  EXPECT_EQ(result->exception->type, "SystemExit");
}

TEST(CallTest, InterpretersRunInParallelWithTheirOwnGil) {
  // Each call waits for the other: with one GIL between them this would hang, for spinning does not detach.
  TestInterpreter one, two;
  constexpr char kCode[] = R"(
import ctypes
def meet(address, mine, other):
    flags = (ctypes.c_int * 2).from_address(address)
    flags[mine] = 1
    n = 0
    while not flags[other]: n += 1
    return n >= 0
)";
  one.Exec(kCode);
  two.Exec(kCode);
  volatile int flags[2] = {0, 0};
  int64_t address = reinterpret_cast<int64_t>(&flags);
  std::thread other([&] { EXPECT_EQ(two.Call("meet", Ints({address, 1, 0}))->value, Value::Bool(true)); });
  EXPECT_EQ(one.Call("meet", Ints({address, 0, 1}))->value, Value::Bool(true));
  other.join();
}

TEST(CallTest, ManyCallersOneInterpreter) {
  TestInterpreter interpreter;
  interpreter.Exec("count = 0\ndef bump():\n  global count\n  count += 1\n  return count");
  std::vector<std::thread> callers;
  for (int i = 0; i < 8; ++i) {
    callers.emplace_back([&] {
      for (int j = 0; j < 500; ++j) ASSERT_TRUE(interpreter.Call("bump").ok());
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(interpreter.Call("bump")->value, Value::Int(4001));
}

}  // namespace
}  // namespace interpd
