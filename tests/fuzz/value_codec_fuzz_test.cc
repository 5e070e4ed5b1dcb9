// Random values go into an interpreter and come back through a function that returns its argument; then random Python
// objects, shareable and not, come out. A seed is printed; INTERPD_FUZZ_SEED repeats a run, INTERPD_FUZZ_SECONDS (5)
// bounds each test.
#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <variant>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "channels/error.h"
#include "interp/interpreter_registry.h"
#include "tests/fuzz/random_value.h"

namespace interpd::fuzz {
namespace {

using channels::Value;
using channels::ValueBuilder;

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  uint64_t number = 0;
  return text != nullptr && absl::SimpleAtoi(text, &number) ? number : otherwise;
}

constexpr char kSetup[] = R"(
import random

def identity(value):
    return value

class Stranger:
    pass

def shareable(r, depth):
    kind = r.randrange(9 if depth else 6)
    if kind == 0: return r.choice([None, True, 0, -1, 2**63, -2**63, -2**63 - 1, 2**64, 10**400])
    if kind == 1: return r.choice([0.0, -0.0, float('nan'), float('inf'), 1j, complex('nan+infj')])
    if kind == 2: return ''.join(r.choice(['a', '\0', '\x7f', '\xe9', '\u20ac', '\ud800', '\U0001f40d'])
                                 for _ in range(r.randrange(9)))
    if kind == 3: return r.randbytes(r.randrange(50))
    if kind == 4: return r.getrandbits(r.randrange(1, 300)) * r.choice([-1, 1])
    if kind == 5: return r.choice([(), [], {}, set(), frozenset(), '', b''])
    if kind == 6: return r.choice([tuple, list])(shareable(r, depth - 1) for _ in range(r.randrange(5)))
    if kind == 7: return {r.choice([str(i), i, (i, 'x'), str(i).encode()]): shareable(r, depth - 1)
                          for i in range(r.randrange(5))}
    return r.choice([set, frozenset])(range(r.randrange(5)))

def wrap(r, what):
    "Hides `what` some levels deep in what is shareable."
    for _ in range(r.randrange(6)):
        what = r.choice([lambda x: [1, x], lambda x: (x,), lambda x: {'k': x}, lambda x: [x, 'after'],
                         lambda x: {1: 2, 'z': [x]}])(what)
    return what

def good(seed):
    r = random.Random(seed)
    return shareable(r, 5)

def bad(seed):
    r = random.Random(seed)
    cycle = [1]
    cycle.append(r.choice([cycle, (cycle,), {'c': cycle}]))
    deep = []
    for _ in range(r.choice([1_001, 50_000, 1_000_000])): deep = [deep]
    return wrap(r, r.choice([cycle, deep, Stranger(), object, lambda: 1, iter([]), wrap, range(3),
                             {Stranger(): 1}, {'v': Stranger()}, {frozenset([Stranger()])}]))
)";

// One interpreter for all tests of the process: CPython starts once.
class ValueCodecFuzzTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    auto registry = interp::InterpreterRegistry::Start({});
    ASSERT_TRUE(registry.ok()) << registry.status();
    registry_ = registry->release();
    auto interpreter = registry_->Create("fuzz", {.setup_source = kSetup}, [](absl::Status) {});
    ASSERT_TRUE(interpreter.ok()) << interpreter.status();
    interpreter_ = new std::shared_ptr<interp::Interpreter>(*std::move(interpreter));
    seed_ = FromEnvironment("INTERPD_FUZZ_SEED", std::random_device()());
    std::cout << "INTERPD_FUZZ_SEED=" << seed_ << std::endl;
  }
  static void TearDownTestSuite() {
    delete interpreter_;
    delete registry_;
  }

  // Calls `target` with one argument.
  static absl::StatusOr<interp::CallResult> Call(const std::string& target, const Value& argument) {
    struct CallWork final : interp::Work {
      using Work::Work;
      bool Output(interp::Stream, std::string_view) override { return true; }
      void Done(absl::StatusOr<interp::Result> answer) override {
        result = std::move(answer);
        done.Notify();
      }
      absl::StatusOr<interp::Result> result;
      absl::Notification done;
    };
    ValueBuilder arguments;
    arguments.Begin(channels::Kind::kTuple, 1);
    Copy(argument, arguments);
    auto work = std::make_shared<CallWork>(
        interp::CallRequest{.target = target, .args = std::move(arguments).Finish(), .kwargs = Value()});
    if (absl::Status status = (*interpreter_)->Submit(work); !status.ok()) return status;
    work->done.WaitForNotification();
    if (!work->result.ok()) return work->result.status();
    return std::get<interp::CallResult>(std::move(work->result->value));
  }

  // Bounded by time, but for what is too little to say anything, however slow the machine.
  static bool GoOn(int done, int at_least) {
    static const int64_t kSeconds = FromEnvironment("INTERPD_FUZZ_SECONDS", 5);
    return (done < at_least || absl::Now() - begin_ < absl::Seconds(kSeconds)) && !HasFailure();
  }

  void SetUp() override { begin_ = absl::Now(); }

  static inline interp::InterpreterRegistry* registry_ = nullptr;
  static inline std::shared_ptr<interp::Interpreter>* interpreter_ = nullptr;
  static inline uint64_t seed_ = 0;
  static inline absl::Time begin_;

 private:
  static void Copy(const Value& from, ValueBuilder& to) {
    for (channels::ValueReader reader(from); !reader.done();) {
      const channels::Node node = reader.Next();
      switch (node.kind) {
        case channels::Kind::kNone: to.None(); break;
        case channels::Kind::kBool: to.Bool(node.bool_value); break;
        case channels::Kind::kInt: to.Int(node.int_value); break;
        case channels::Kind::kBigInt: to.BigInt(node.bytes); break;
        case channels::Kind::kFloat: to.Float(node.real); break;
        case channels::Kind::kComplex: to.Complex(node.real, node.imag); break;
        default:
          if (channels::IsContainer(node.kind)) {
            to.Begin(node.kind, node.count);
          } else {
            to.Text(node.kind, node.bytes);
          }
      }
    }
  }
};

TEST_F(ValueCodecFuzzTest, ValuesComeBackEqual) {
  std::mt19937_64 random(seed_);
  int count = 0;
  for (; GoOn(count, 100); ++count) {
    const Value value = RandomValue(random, 1 + random() % 6);
    auto result = Call("identity", value);
    ASSERT_TRUE(result.ok()) << result.status() << " for " << Canonical(value);
    ASSERT_EQ(result->exception, nullptr) << result->exception->formatted << " for " << Canonical(value);
    ASSERT_EQ(Canonical(result->value), Canonical(value));
  }
  std::cout << count << " values" << std::endl;
}

TEST_F(ValueCodecFuzzTest, PythonObjectsComeOutAndGoBackEqual) {
  int count = 0;
  for (; GoOn(count, 100); ++count) {
    auto made = Call("good", Value::Int(static_cast<int64_t>((seed_ + count) & 0x7FFFFFFF)));
    ASSERT_TRUE(made.ok()) << made.status() << " for seed " << seed_ + count;
    ASSERT_EQ(made->exception, nullptr) << made->exception->formatted;
    auto back = Call("identity", made->value);
    ASSERT_TRUE(back.ok()) << back.status();
    ASSERT_EQ(Canonical(back->value), Canonical(made->value));
  }
  std::cout << count << " objects" << std::endl;
}

TEST_F(ValueCodecFuzzTest, WhatIsNotShareableIsRefusedAndLeavesTheInterpreterWhole) {
  int count = 0;
  for (; GoOn(count, 20); ++count) {
    auto result = Call("bad", Value::Int(static_cast<int64_t>((seed_ + count) & 0x7FFFFFFF)));
    ASSERT_FALSE(result.ok()) << "came out: seed " << seed_ + count;
    ASSERT_EQ(channels::GetErrorInfo(result.status()).reason, "VALUE_NOT_SHAREABLE") << result.status();
  }
  std::cout << count << " objects" << std::endl;
  auto after = Call("identity", Value::Int(7));
  ASSERT_TRUE(after.ok()) << after.status();
  EXPECT_TRUE(after->value == Value::Int(7));
}

}  // namespace
}  // namespace interpd::fuzz
