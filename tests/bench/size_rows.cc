// Rows of memory, of processors and of what is left after many cycles, all of the real daemon.
#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "tests/bench/daemon.h"
#include "tests/bench/peer.h"
#include "tests/bench/row.h"
#include "tests/bench/statistics.h"

namespace interpd::bench {
namespace {

constexpr double kMegabyte = 1e6;

// Does something for each of `count` numbers on two threads; returns the first error.
absl::Status ForEach(int count, const std::function<absl::Status(int)>& what) {
  std::atomic<int> next{0};
  absl::Mutex mutex;
  absl::Status first;
  auto work = [&] {
    for (int i; (i = next++) < count;) {
      absl::Status status = what(i);
      if (status.ok()) continue;
      absl::MutexLock lock(mutex);
      first.Update(status);
      next = count;
    }
  };
  std::thread other(work);
  work();
  other.join();
  return first;
}

std::string Name(int i) { return absl::StrCat("i", i); }

// Creates `count` interpreters and tells how much memory they take; then, if asked, calls each, closes all and tells
// how much is left.
absl::StatusOr<std::vector<Row>> MeasureMemory(const Options& options) {
  const int idle = options.quick ? 100 : 1000;
  const int many = options.quick ? 200 : 3000;
  absl::StatusOr<std::unique_ptr<Daemon>> daemon = Daemon::Start();
  if (!daemon.ok()) return daemon.status();
  Daemon& d = **daemon;
  absl::StatusOr<ProcessUse> start = d.Use();
  if (!start.ok()) return start.status();

  if (absl::Status s = ForEach(idle, [&](int i) { return d.Create(Name(i)); }); !s.ok()) return s;
  absl::StatusOr<ProcessUse> with_idle = d.Use();
  if (!with_idle.ok()) return with_idle.status();
  const double each = (with_idle->rss_bytes - start->rss_bytes) / kMegabyte / idle;

  if (absl::Status s = ForEach(many - idle, [&](int i) { return d.Create(Name(idle + i)); }); !s.ok()) return s;
  if (absl::Status s = ForEach(many, [&](int i) { return d.Call(Name(i), "math:gcd"); }); !s.ok()) return s;
  if (absl::Status s = ForEach(many, [&](int i) { return d.Close(Name(i)); }); !s.ok()) return s;
  absl::StatusOr<ProcessUse> end = d.Use();
  if (!end.ok()) return end.status();
  const double left = (end->rss_bytes - start->rss_bytes) / kMegabyte;
  return std::vector<Row>{
      {absl::StrCat("memory of an idle interpreter, of ", idle), each, "MB", "limit", 2.0, each / 2.0, "<= 1",
       each <= 2.0},
      {absl::StrCat("memory left after ", many, " interpreters"), left, "MB", "limit", 150, left / 150, "<= 1",
       left <= 150},
      {absl::StrCat("fds left after ", many, " interpreters"), double(end->open_fds - start->open_fds), "fds",
       "limit (the connection)", 2, (end->open_fds - start->open_fds) / 2.0, "<= 1",
       end->open_fds - start->open_fds <= 2},
  };
}

// The time that `interpreters` of them take for the same work each, all at once.
absl::StatusOr<double> BurnSeconds(Daemon& daemon, int interpreters) {
  absl::Status first;
  const absl::Time begin = absl::Now();
  if (interpreters == 1) {
    first = daemon.Call(Name(0), "work");
  } else {
    first = ForEach(interpreters, [&](int i) { return daemon.Call(Name(i), "work"); });
  }
  if (!first.ok()) return first;
  return absl::ToDoubleSeconds(absl::Now() - begin);
}

absl::StatusOr<std::vector<Row>> MeasureProcessors(const Options& options) {
  const int iterations = options.quick ? 3'000'000 : 15'000'000;
  absl::StatusOr<std::unique_ptr<Daemon>> daemon = Daemon::Start();
  if (!daemon.ok()) return daemon.status();
  Daemon& d = **daemon;
  const std::string setup = absl::StrCat("import sys\nsys.path.insert(0, '", RunfilePath("tests/bench/peers"),
                                         "')\nimport burn\ndef work(): return burn.burn(", iterations, ")\n");
  for (int i = 0; i < 2; ++i) {
    if (absl::Status s = d.Create(Name(i)); !s.ok()) return s;
    if (absl::Status s = d.Exec(Name(i), setup); !s.ok()) return s;
  }
  Pairs gain;
  for (int round = 0; round < options.rounds; ++round) {
    absl::StatusOr<nlohmann::json> limit = RunPythonPeer("cpu_limit.py", {absl::StrCat(iterations)});
    if (!limit.ok()) return limit.status();
    absl::StatusOr<double> one = BurnSeconds(d, 1);
    if (!one.ok()) return one.status();
    absl::StatusOr<double> two = BurnSeconds(d, 2);
    if (!two.ok()) return two.status();
    const nlohmann::json& seconds = (*limit)["seconds"];
    gain.Add(2 * *one / *two, 2 * seconds["1"].get<double>() / seconds["2"].get<double>());
  }
  const double ours = Median(gain.ours);
  return std::vector<Row>{{"CPU-bound work, 2 interpreters beside 1", ours, "x", "two processes beside one",
                           Median(gain.peer), ours, ">= 1.9", ours >= 1.9}};
}

absl::StatusOr<std::vector<Row>> MeasureCycles(const Options& options) {
  const int cycles = options.quick ? 300 : 1000;
  constexpr int kWarmUp = 100;
  absl::StatusOr<std::unique_ptr<Daemon>> daemon = Daemon::Start();
  if (!daemon.ok()) return daemon.status();
  Daemon& d = **daemon;
  std::vector<ProcessUse> uses;
  for (int i = 0; i < cycles; ++i) {
    if (absl::Status s = d.Create("cycle"); !s.ok()) return s;
    if (absl::Status s = d.Exec("cycle", "import json\nprint(json.dumps([1]))\n"); !s.ok()) return s;
    if (absl::Status s = d.Close("cycle"); !s.ok()) return s;
    absl::StatusOr<ProcessUse> use = d.Use();
    if (!use.ok()) return use.status();
    uses.push_back(*use);
  }
  // The least of a hundred cycles: what is left, without what is on its way out.
  auto least = [&](auto field, int from) {
    auto less = [&](const ProcessUse& a, const ProcessUse& b) { return a.*field < b.*field; };
    return *std::min_element(uses.begin() + from, uses.begin() + from + kWarmUp, less).*field;
  };
  auto growth = [&](auto field) { return double(least(field, cycles - kWarmUp) - least(field, kWarmUp)); };
  const double megabytes = growth(&ProcessUse::rss_bytes) / kMegabyte;
  const double fds = growth(&ProcessUse::open_fds);
  const std::string name = absl::StrCat(" growth over ", cycles, " cycles");
  return std::vector<Row>{
      {absl::StrCat("RSS", name), megabytes, "MB", "noise", 1.0, megabytes / 1.0, "<= 1", megabytes <= 1.0},
      {absl::StrCat("fd", name), fds, "fds", "limit", 0, fds, "0", fds <= 0},
  };
}

}  // namespace

std::vector<Measurement> SizeMeasurements() {
  return {{"memory", MeasureMemory}, {"CPU-bound work", MeasureProcessors}, {"cycles", MeasureCycles}};
}

}  // namespace interpd::bench
