// Rows of channels between hosted interpreters, measured by channel_probe, beside the standard library's queues and the
// bare machine.
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "tests/bench/peer.h"
#include "tests/bench/row.h"
#include "tests/bench/statistics.h"

namespace interpd::bench {
namespace {

absl::StatusOr<nlohmann::json> Probe(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), RunfilePath("tests/bench/channel_probe"));
  return RunForJson(arguments);
}

double P50(const nlohmann::json& samples) { return Median(samples.get<std::vector<double>>()); }

Row TimesFaster(std::string name, const Pairs& pairs, std::string peer, double goal) {
  const double times = 1 / pairs.ratio();
  return {std::move(name), Median(pairs.ours),        "us",         std::move(peer), Median(pairs.peer),
          times,           absl::StrCat(">= ", goal), times >= goal};
}

Row AtMost(std::string name, const Pairs& pairs, std::string peer, double goal) {
  return {std::move(name),           Median(pairs.ours),   "us", std::move(peer), Median(pairs.peer), pairs.ratio(),
          absl::StrCat("<= ", goal), pairs.ratio() <= goal};
}

absl::StatusOr<std::vector<Row>> MeasurePingPong(const Options& options) {
  Pairs asleep_futex, asleep_library, hot_limit, hot_library;
  for (int round = 0; round < options.rounds; ++round) {
    absl::StatusOr<nlohmann::json> asleep = Probe({"asleep", options.quick ? "60" : "200"});
    if (!asleep.ok()) return asleep.status();
    absl::StatusOr<nlohmann::json> hot = Probe({"hot", options.quick ? "20000" : "200000"});
    if (!hot.ok()) return hot.status();
    absl::StatusOr<nlohmann::json> library = RunPythonPeer("queues.py", {"pingpong", options.quick ? "20" : "60"});
    if (!library.ok()) return library.status();
    const double theirs = P50((*library)["microseconds"]);
    asleep_futex.Add(P50((*asleep)["channel"]), P50((*asleep)["futex"]));
    asleep_library.Add(P50((*asleep)["channel"]), theirs);
    hot_limit.Add((*hot)["channel"].get<double>(), (*hot)["spinning"].get<double>());
    hot_library.Add((*hot)["channel"].get<double>(), theirs);
  }
  return std::vector<Row>{
      TimesFaster("channel ping-pong, receiver asleep, p50", asleep_library, "concurrent.interpreters", 150),
      AtMost("channel ping-pong, receiver asleep, p50", asleep_futex, "bare futex round trip", 1.3),
      TimesFaster("channel ping-pong, hot", hot_library, "concurrent.interpreters", 10'000),
      AtMost("channel ping-pong, hot", hot_limit, "spinning on two words", 4),
  };
}

// Ours, measured by channel_probe as `what`, beside others' rates.
struct RateRow {
  std::string name;
  std::string what;
  std::string peer;
  std::vector<std::string> queues_arguments;  // of peers/queues.py; empty: `other_what` of ours
  std::string other_what;
  double goal;
};

absl::StatusOr<std::vector<Row>> MeasureRates(const Options& options) {
  const std::vector<RateRow> specs = {
      {"channel, small ints", "ints", "concurrent.interpreters", {"interpreters", "ints"}, "", 4},
      {"channel, 64-byte bytes", "bytes64", "concurrent.interpreters", {"interpreters", "bytes64"}, "", 3},
      {"channel, 64-byte bytes", "bytes64", "multiprocessing.Queue", {"processes", "bytes64"}, "", 50},
      {"channel, 1 MB bytes", "megabytes", "concurrent.interpreters", {"interpreters", "megabytes"}, "", 1},
      {"channel, 1 MB buffer", "megabyte_buffers", "1 KB buffer", {}, "kilobyte_buffers", 0.8},
      {"channel, send_many, recv_many of 64", "batches", "one by one", {}, "ints", 3},
  };
  const std::string seconds = absl::StrCat(absl::ToDoubleSeconds(options.round_time));
  std::vector<Row> rows;
  for (const RateRow& spec : specs) {
    Pairs pairs;
    for (int round = 0; round < options.rounds; ++round) {
      absl::StatusOr<nlohmann::json> ours = Probe({"rate", spec.what, seconds});
      if (!ours.ok()) return ours.status();
      std::vector<std::string> arguments = {"rate"};
      arguments.insert(arguments.end(), spec.queues_arguments.begin(), spec.queues_arguments.end());
      arguments.push_back(seconds);
      absl::StatusOr<nlohmann::json> theirs = spec.queues_arguments.empty() ? Probe({"rate", spec.other_what, seconds})
                                                                            : RunPythonPeer("queues.py", arguments);
      if (!theirs.ok()) return theirs.status();
      pairs.Add((*ours)["per_second"].get<double>() / 1e3, (*theirs)["per_second"].get<double>() / 1e3);
    }
    rows.push_back({spec.name, Median(pairs.ours), "k/s", spec.peer, Median(pairs.peer), pairs.ratio(),
                    absl::StrCat(">= ", spec.goal), pairs.ratio() >= spec.goal});
  }
  return rows;
}

}  // namespace

std::vector<Measurement> ChannelMeasurements() {
  return {{"channel ping-pong", MeasurePingPong}, {"channel rates", MeasureRates}};
}

}  // namespace interpd::bench
