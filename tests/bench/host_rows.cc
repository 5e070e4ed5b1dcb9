// Rows of the C++ host API, measured by host_probe, beside bare futexes and the standard library's interpreters.
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/bench/peer.h"
#include "tests/bench/row.h"
#include "tests/bench/statistics.h"

namespace interpd::bench {
namespace {

absl::StatusOr<nlohmann::json> Probe(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), RunfilePath("tests/bench/host_probe"));
  return RunForJson(arguments);
}

double P50(const nlohmann::json& samples) { return Median(samples.get<std::vector<double>>()); }

absl::StatusOr<std::vector<Row>> MeasureCalls(const Options& options) {
  const int asleep_count = options.quick ? 100 : 300;
  const int hot_count = options.quick ? 20'000 : 200'000;
  Pairs futex, library, hot;
  for (int round = 0; round < options.rounds; ++round) {
    absl::StatusOr<nlohmann::json> asleep = Probe({"asleep", absl::StrCat(asleep_count)});
    if (!asleep.ok()) return asleep.status();
    absl::StatusOr<nlohmann::json> peer = RunPythonPeer("concurrent_interpreters.py", {"call", "1000"});
    if (!peer.ok()) return peer.status();
    absl::StatusOr<nlohmann::json> back_to_back = Probe({"hot", absl::StrCat(hot_count)});
    if (!back_to_back.ok()) return back_to_back.status();
    const double theirs = P50((*peer)["microseconds"]);
    futex.Add(P50((*asleep)["call"]), P50((*asleep)["futex"]));
    library.Add(P50((*asleep)["call"]), theirs);
    hot.Add(P50((*back_to_back)["call"]), theirs);
  }
  const double below_library = 1 / library.ratio();
  const double hot_below_library = 1 / hot.ratio();
  return std::vector<Row>{
      {"host API call, worker asleep, p50", Median(futex.ours), "us", "bare futex round trip", Median(futex.peer),
       futex.ratio(), "<= 1.5", futex.ratio() <= 1.5},
      {"host API call, worker asleep, p50", Median(library.ours), "us", "concurrent.interpreters", Median(library.peer),
       below_library, ">= 20 times below", below_library >= 20},
      {"host API call, worker hot, p50", Median(hot.ours), "us", "concurrent.interpreters", Median(hot.peer),
       hot_below_library, ">= 100 times below", hot_below_library >= 100},
  };
}

absl::StatusOr<std::vector<Row>> MeasureCreate(const Options& options) {
  const std::string count = options.quick ? "10" : "40";
  Pairs latency, rate;
  for (int round = 0; round < options.rounds; ++round) {
    absl::StatusOr<nlohmann::json> peer = RunPythonPeer("concurrent_interpreters.py", {"create", count});
    if (!peer.ok()) return peer.status();
    absl::StatusOr<nlohmann::json> one = Probe({"create", count, "1"});
    if (!one.ok()) return one.status();
    absl::StatusOr<nlohmann::json> two = Probe({"create", count, "2"});
    if (!two.ok()) return two.status();
    latency.Add(P50((*one)["create"]), P50((*peer)["microseconds"]));
    rate.Add((*two)["per_second"].get<double>(), (*one)["per_second"].get<double>());
  }
  return std::vector<Row>{
      {"create, p50", Median(latency.ours), "us", "concurrent.interpreters", Median(latency.peer), latency.ratio(),
       "<= 0.75", latency.ratio() <= 0.75},
      {"create on two threads", Median(rate.ours), "1/s", "one thread", Median(rate.peer), rate.ratio(), ">= 1.7",
       rate.ratio() >= 1.7},
  };
}

}  // namespace

std::vector<Measurement> HostMeasurements() { return {{"host API call", MeasureCalls}, {"create", MeasureCreate}}; }

}  // namespace interpd::bench
