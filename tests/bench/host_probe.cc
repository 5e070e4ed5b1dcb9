// Measures the C++ host API in a process of its own, since it starts CPython there. Prints one JSON document of
// microseconds; the bare futex round trip is measured in turn with the calls, one by one.
//
// usage: host_probe asleep COUNT | hot COUNT | create COUNT THREADS
#include <time.h>

#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/log/check.h"
#include "absl/log/initialize.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "interp/interpreter_registry.h"
#include "nlohmann/json.hpp"
#include "tests/bench/futex_partner.h"
#include "tests/bench/gate.h"

namespace interpd::bench {
namespace {

using interp::Interpreter;
using interp::InterpreterRegistry;

// Between two round trips that must find the other thread asleep.
constexpr timespec kPause = {.tv_nsec = 2'000'000};
// Enough that whoever waits in a hot loop never sleeps.
constexpr int kHotSpins = 1'000'000;

// Work that opens a gate when it is done.
template <typename Request>
class GateWork final : public interp::Work {
 public:
  GateWork(Request request, Gate* gate) : Work(std::move(request)), gate_(gate) {}
  bool Output(interp::Stream, std::string_view) override { return true; }
  void Done(absl::StatusOr<interp::Result> result) override {
    result_ = std::move(result);
    gate_->Open();
  }
  // Dies unless the work ran and raised nothing. Requires: the gate was passed.
  void Check() const {
    CHECK_OK(result_);
    std::visit([](const auto& done) { CHECK(done.exception == nullptr) << done.exception->formatted; }, result_->value);
  }

 private:
  Gate* const gate_;
  absl::StatusOr<interp::Result> result_;
};

template <typename Request>
void Run(Interpreter& interpreter, Request request, int spins) {
  Gate gate;
  auto work = std::make_shared<GateWork<Request>>(std::move(request), &gate);
  CHECK_OK(interpreter.Submit(work));
  gate.Await(spins);
  work->Check();
}

void Call(Interpreter& interpreter, int spins) { Run(interpreter, interp::CallRequest{.target = "nothing"}, spins); }

std::shared_ptr<Interpreter> Create(InterpreterRegistry& registry, const std::string& name) {
  Gate made;
  absl::StatusOr<std::shared_ptr<Interpreter>> interpreter = registry.Create(name, {}, [&](absl::Status status) {
    CHECK_OK(status);
    made.Open();
  });
  CHECK_OK(interpreter);
  made.Await(0);
  return *interpreter;
}

void Close(Interpreter& interpreter) {
  Gate closed;
  interpreter.Close(absl::Seconds(5), [&](interp::State state) {
    CHECK(state == interp::State::kClosed);
    closed.Open();
  });
  closed.Await(0);
}

template <typename Operation>
double Microseconds(Operation operation) {
  const absl::Time begin = absl::Now();
  operation();
  return absl::ToDoubleMicroseconds(absl::Now() - begin);
}

nlohmann::json MeasureAsleep(InterpreterRegistry& registry, int count) {
  std::shared_ptr<Interpreter> interpreter = Create(registry, "bench");
  Run(*interpreter, interp::ExecRequest{.source = "def nothing(): pass"}, 0);
  FutexPartner partner;
  std::vector<double> futex, call;
  for (int i = 0; i < count; ++i) {
    nanosleep(&kPause, nullptr);
    futex.push_back(Microseconds([&] { partner.RoundTrip(); }));
    nanosleep(&kPause, nullptr);
    call.push_back(Microseconds([&] { Call(*interpreter, 0); }));
  }
  Close(*interpreter);
  return {{"futex", futex}, {"call", call}};
}

nlohmann::json MeasureHot(InterpreterRegistry& registry, int count) {
  std::shared_ptr<Interpreter> interpreter = Create(registry, "bench");
  Run(*interpreter, interp::ExecRequest{.source = "def nothing(): pass"}, 0);
  for (int i = 0; i < count / 10; ++i) Call(*interpreter, kHotSpins);
  std::vector<double> call;
  for (int i = 0; i < count; ++i) call.push_back(Microseconds([&] { Call(*interpreter, kHotSpins); }));
  Close(*interpreter);
  return {{"call", call}};
}

// Creates `count` interpreters, `threads` at a time; closes them afterwards, untimed.
nlohmann::json MeasureCreate(InterpreterRegistry& registry, int count, int threads) {
  Close(*Create(registry, "first"));
  std::vector<std::vector<std::shared_ptr<Interpreter>>> made(threads);
  std::vector<std::vector<double>> create(threads);
  auto work = [&](int thread) {
    for (int i = thread; i < count; i += threads) {
      create[thread].push_back(Microseconds([&] { made[thread].push_back(Create(registry, absl::StrCat("i", i))); }));
    }
  };
  const double all = Microseconds([&] {
    std::vector<std::thread> others;
    for (int thread = 1; thread < threads; ++thread) others.emplace_back(work, thread);
    work(0);
    for (std::thread& other : others) other.join();
  });
  std::vector<double> each;
  for (int thread = 0; thread < threads; ++thread) {
    each.insert(each.end(), create[thread].begin(), create[thread].end());
    for (auto& interpreter : made[thread]) Close(*interpreter);
  }
  return {{"create", each}, {"per_second", count / all * 1e6}};
}

int Main(const std::vector<std::string_view>& words) {
  if (words.size() < 2) {
    std::cerr << "usage: host_probe asleep COUNT | hot COUNT | create COUNT THREADS\n";
    return 2;
  }
  absl::StatusOr<std::unique_ptr<InterpreterRegistry>> registry = InterpreterRegistry::Start({});
  CHECK_OK(registry);
  const int count = std::atoi(words[1].data());
  if (words[0] == "asleep") std::cout << MeasureAsleep(**registry, count);
  if (words[0] == "hot") std::cout << MeasureHot(**registry, count);
  if (words[0] == "create") std::cout << MeasureCreate(**registry, count, std::atoi(words[2].data()));
  std::cout << std::endl;
  return 0;
}

}  // namespace
}  // namespace interpd::bench

int main(int argc, char** argv) {
  absl::InitializeLog();
  return interpd::bench::Main({argv + 1, argv + argc});
}
