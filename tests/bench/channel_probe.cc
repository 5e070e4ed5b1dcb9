// Measures channels between hosted interpreters, from the Python code in them. In a process of its own, since it starts
// CPython there. Prints one JSON document.
//
// usage: channel_probe asleep COUNT                   microseconds: of round trips that find the other side asleep, and
//                                                     of a bare futex, in turn
//        channel_probe hot COUNT                      microseconds a round trip: of two loops, and of two C++ threads
//                                                     that spin on a word
//        channel_probe rate WHAT SECONDS              values a second, one way; WHAT: ints, bytes64, megabytes,
//                                                     kilobyte_buffers, megabyte_buffers, batches
#include <time.h>

#include <atomic>
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
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "interp/interpreter_registry.h"
#include "nlohmann/json.hpp"
#include "tests/bench/futex_partner.h"

namespace interpd::bench {
namespace {

using interp::Interpreter;
using interp::InterpreterRegistry;

// Python code that runs in one interpreter and prints JSON, or nothing.
class Script final : public interp::Work {
 public:
  explicit Script(std::string source) : Work(interp::ExecRequest{.source = std::move(source)}) {}
  bool Output(interp::Stream, std::string_view data) override {
    out_.append(data);
    return true;
  }
  void Done(absl::StatusOr<interp::Result> result) override {
    result_ = std::move(result);
    done_.Notify();
  }
  nlohmann::json Result() {
    done_.WaitForNotification();
    CHECK_OK(result_);
    auto& exec = std::get<interp::ExecResult>(result_->value);
    CHECK(exec.exception == nullptr) << exec.exception->formatted;
    return out_.empty() ? nlohmann::json() : nlohmann::json::parse(out_);
  }

 private:
  std::string out_;
  absl::StatusOr<interp::Result> result_;
  absl::Notification done_;
};

constexpr char kSetup[] = R"(
import interpd, json, time
ping, pong = interpd.channel('ping'), interpd.channel('pong')

def answer():
    recv, send = ping.recv, pong.send
    while (value := recv()) is not None: send(value)

def ask_asleep(count):
    samples = []
    for i in range(count):
        time.sleep(0.002)
        start = time.perf_counter_ns()
        ping.send(i)
        pong.recv()
        samples.append((time.perf_counter_ns() - start) / 1000)
    print(json.dumps(samples))

def ask_hot(count):
    send, recv = ping.send, pong.recv
    start = time.perf_counter_ns()
    for i in range(count):
        send(i)
        recv()
    print((time.perf_counter_ns() - start) / 1000 / count)

ch, done = interpd.channel('rate', capacity=CAPACITY), interpd.channel('done')

def until(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end: yield
    ch.send(None)

def produce_ints(seconds):
    send = ch.send
    for _ in until(seconds):
        for i in range(1000): send(i % 200)

def produce_bytes64(seconds):
    send = ch.send
    for _ in until(seconds):
        for i in range(1000): send(b'x' * 64)

def produce_megabytes(seconds):
    megabyte = bytes(1 << 20)
    for _ in until(seconds):
        for i in range(10): ch.send(megabyte)

def produce_kilobyte_buffers(seconds): produce_buffers(1 << 10, seconds)
def produce_megabyte_buffers(seconds): produce_buffers(1 << 20, seconds)

def produce_buffers(size, seconds):
    view, send = memoryview(interpd.buffer(size)), ch.send
    for _ in until(seconds):
        for i in range(1000): send(view)

def produce_batches(seconds):
    batch = list(range(64))
    for _ in until(seconds):
        for i in range(20): ch.send_many(batch)

def consume():
    recv, count = ch.recv, 0
    recv()
    start = time.monotonic()
    while recv() is not None: count += 1
    print(count / (time.monotonic() - start))

def consume_batches():
    count = 0
    ch.recv()
    start = time.monotonic()
    while (got := ch.recv_many(64))[-1] is not None: count += len(got)
    print(count / (time.monotonic() - start))
)";

std::shared_ptr<Interpreter> Create(InterpreterRegistry& registry, const std::string& name, int capacity) {
  absl::Notification made;
  auto interpreter = registry.Create(name, {.setup_source = absl::StrCat("CAPACITY = ", capacity, "\n", kSetup)},
                                     [&](absl::Status status) {
                                       CHECK_OK(status);
                                       made.Notify();
                                     });
  CHECK_OK(interpreter);
  made.WaitForNotification();
  return *interpreter;
}

std::shared_ptr<Script> Start(Interpreter& interpreter, std::string source) {
  auto script = std::make_shared<Script>(std::move(source));
  CHECK_OK(interpreter.Submit(script));
  return script;
}

nlohmann::json MeasureAsleep(Interpreter& one, Interpreter& two, int count) {
  constexpr timespec kPause = {.tv_nsec = 2'000'000};
  constexpr int kBlock = 20;
  auto answering = Start(two, "answer()");
  FutexPartner partner;
  std::vector<double> channel, futex;
  while (static_cast<int>(channel.size()) < count) {
    for (double sample : Start(one, absl::StrCat("ask_asleep(", kBlock, ")"))->Result()) channel.push_back(sample);
    for (int i = 0; i < kBlock; ++i) {
      nanosleep(&kPause, nullptr);
      const absl::Time begin = absl::Now();
      partner.RoundTrip();
      futex.push_back(absl::ToDoubleMicroseconds(absl::Now() - begin));
    }
  }
  Start(one, "ping.send(None)")->Result();
  answering->Result();
  return {{"channel", channel}, {"futex", futex}};
}

// Two threads that pass a number to and fro by spinning on two words.
double SpinningRoundTrip(int count) {
  alignas(128) std::atomic<int> ping{0};
  alignas(128) std::atomic<int> pong{0};
  std::thread partner([&] {
    for (int i = 1; i <= count; ++i) {
      while (ping.load(std::memory_order_acquire) != i) __builtin_ia32_pause();
      pong.store(i, std::memory_order_release);
    }
  });
  const absl::Time begin = absl::Now();
  for (int i = 1; i <= count; ++i) {
    ping.store(i, std::memory_order_release);
    while (pong.load(std::memory_order_acquire) != i) __builtin_ia32_pause();
  }
  const double all = absl::ToDoubleMicroseconds(absl::Now() - begin);
  partner.join();
  return all / count;
}

nlohmann::json MeasureHot(Interpreter& one, Interpreter& two, int count) {
  auto answering = Start(two, "answer()");
  Start(one, absl::StrCat("ask_hot(", count / 10, ")"))->Result();
  nlohmann::json channel = Start(one, absl::StrCat("ask_hot(", count, ")"))->Result();
  Start(one, "ping.send(None)")->Result();
  answering->Result();
  return {{"channel", channel}, {"spinning", SpinningRoundTrip(count)}};
}

nlohmann::json MeasureRate(Interpreter& one, Interpreter& two, std::string_view what, std::string_view seconds) {
  auto consuming = Start(two, what == "batches" ? "consume_batches()" : "consume()");
  Start(one, absl::StrCat("produce_", what, "(", seconds, ")"))->Result();
  return {{"per_second", consuming->Result()}};
}

int Main(const std::vector<std::string_view>& words) {
  if (words.size() < 2) {
    std::cerr << "usage: channel_probe asleep COUNT | hot COUNT | rate WHAT SECONDS\n";
    return 2;
  }
  absl::StatusOr<std::unique_ptr<InterpreterRegistry>> registry = InterpreterRegistry::Start({});
  CHECK_OK(registry);
  const int capacity = words[1] == "megabytes" ? 16 : 1024;
  std::shared_ptr<Interpreter> one = Create(**registry, "one", capacity), two = Create(**registry, "two", capacity);
  const int count = std::atoi(words[1].data());
  if (words[0] == "asleep") std::cout << MeasureAsleep(*one, *two, count);
  if (words[0] == "hot") std::cout << MeasureHot(*one, *two, count);
  if (words[0] == "rate") std::cout << MeasureRate(*one, *two, words[1], words[2]);
  std::cout << std::endl;
  return 0;
}

}  // namespace
}  // namespace interpd::bench

int main(int argc, char** argv) {
  absl::InitializeLog();
  return interpd::bench::Main({argv + 1, argv + argc});
}
