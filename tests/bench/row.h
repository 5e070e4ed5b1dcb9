// Row: one line of the comparison: what was measured, beside a peer or a limit measured in the same run.
//
// Who includes this: compare.cc, which prints rows, and the *_rows.cc files, which measure them.
#ifndef INTERPD_TESTS_BENCH_ROW_H_
#define INTERPD_TESTS_BENCH_ROW_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace interpd::bench {

struct Options {
  int rounds = 5;                                // ours and the peer take turns so often
  absl::Duration round_time = absl::Seconds(1);  // of each turn
  bool quick = false;
};

struct Row {
  std::string name;
  double ours = 0;
  std::string unit;  // of `ours` and `reference`
  std::string peer;  // what `reference` is
  double reference = 0;
  double ratio = 0;  // what `goal` speaks of, in most rows ours / reference
  std::string goal;  // empty: the row is for information
  bool met = false;
};

// Something that measures one or more rows. `name` is what --rows picks by.
struct Measurement {
  std::string name;
  std::function<absl::StatusOr<std::vector<Row>>(const Options&)> run;
};

std::vector<Measurement> ChannelMeasurements();
std::vector<Measurement> ConstantMeasurements();
std::vector<Measurement> HostMeasurements();
std::vector<Measurement> JobMeasurements();
std::vector<Measurement> MetricsMeasurements();
std::vector<Measurement> RingMeasurements();
std::vector<Measurement> RpcMeasurements();
std::vector<Measurement> AttachMeasurements();
std::vector<Measurement> SizeMeasurements();

}  // namespace interpd::bench

#endif  // INTERPD_TESTS_BENCH_ROW_H_
