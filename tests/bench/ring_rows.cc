// Rows of the bounded ring under the channels, measured by ring_probe, beside the queues that people use.
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "tests/bench/peer.h"
#include "tests/bench/row.h"
#include "tests/bench/statistics.h"

namespace interpd::bench {
namespace {

struct RingPeer {
  std::string key;   // ring_probe's
  std::string name;  // the table's
  bool bounded_fifo;
  bool for_information;
};

const std::vector<RingPeer>& RingPeers() {
  static const auto& peers = *new std::vector<RingPeer>{
      {"mutex", "mutex, condition variable", true, false},
      {"boost", "boost::lockfree::queue", true, false},
      {"tbb", "tbb bounded queue", true, false},
      {"moodycamel", "moodycamel, not one FIFO", false, false},
      {"scq", "SCQ", true, true},
      {"unpadded", "ours without padding", true, true},
  };
  return peers;
}

absl::StatusOr<std::vector<Row>> MeasureRing(const Options& options) {
  std::vector<Row> rows;
  const std::string time = absl::StrCat(absl::ToInt64Milliseconds(options.round_time / 5));
  for (const std::string ends : {"1", "2", "4"}) {
    std::map<std::string, Pairs> pairs;
    for (int round = 0; round < options.rounds; ++round) {
      absl::StatusOr<nlohmann::json> probe = RunForJson({RunfilePath("tests/bench/ring_probe"), ends, ends, time});
      if (!probe.ok()) return probe.status();
      const double ours = (*probe)["ours"].get<double>() / 1e6;
      for (const RingPeer& peer : RingPeers()) pairs[peer.key].Add(ours, (*probe)[peer.key].get<double>() / 1e6);
      pairs["batches"].Add((*probe)["batches"].get<double>() / 1e6, ours);
    }
    const std::string name = absl::StrCat("ring, ", ends, "/", ends, " producers/consumers");
    for (const RingPeer& peer : RingPeers()) {
      const Pairs& pair = pairs[peer.key];
      Row row = {name, Median(pair.ours), "M/s", peer.name, Median(pair.peer), pair.ratio()};
      if (ends == "1" && !peer.for_information) {
        row.goal = ">= 1/1.3";
        row.met = row.ratio >= 1 / 1.3;
      } else if (peer.bounded_fifo && !peer.for_information) {
        row.goal = ">= 1";
        row.met = row.ratio >= 1;
      }
      rows.push_back(row);
    }
    const Pairs& batches = pairs["batches"];
    rows.push_back({absl::StrCat("ring, ", ends, "/", ends, ", 64 at once"), Median(batches.ours), "M/s", "one by one",
                    Median(batches.peer), batches.ratio()});
  }
  return rows;
}

}  // namespace

std::vector<Measurement> RingMeasurements() { return {{"ring", MeasureRing}}; }

}  // namespace interpd::bench
