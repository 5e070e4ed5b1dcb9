// compare: measures every row of the speed and size table, each beside a peer or a limit in the same run.
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "nlohmann/json.hpp"
#include "tests/bench/row.h"

namespace interpd::bench {
namespace {

constexpr char kLine[] = "%-46s %12s  %12s %-26s %8.2f  %-17s %s\n";

std::string Number(double value, const std::string& unit) {
  const double size = std::abs(value);
  return absl::StrFormat("%.*f %s", size >= 1000 ? 0 : size >= 10 ? 1 : 2, value, unit);
}

void Print(const Row& row) {
  absl::PrintF(kLine, row.name, Number(row.ours, row.unit), Number(row.reference, row.unit), row.peer, row.ratio,
               row.goal,
               row.goal.empty() ? ""
               : row.met        ? "yes"
                                : "NO");
  std::fflush(stdout);
}

nlohmann::json ToJson(const Row& row) {
  return {
      {"row", row.name},    {"ours", row.ours}, {"unit", row.unit}, {"peer", row.peer}, {"reference", row.reference},
      {"ratio", row.ratio}, {"goal", row.goal}, {"met", row.met}};
}

double LoadAverage() {
  double load = 0;
  return getloadavg(&load, 1) == 1 ? load : -1;
}

int Run(const std::string& pattern, const std::string& json_path, const Options& options) {
  std::vector<Measurement> measurements;
  for (auto* list : {HostMeasurements, ChannelMeasurements, ConstantMeasurements, RingMeasurements, RpcMeasurements,
                     MetricsMeasurements, AttachMeasurements, JobMeasurements, SizeMeasurements}) {
    for (Measurement& measurement : list()) {
      if (absl::StrContainsIgnoreCase(measurement.name, pattern)) measurements.push_back(std::move(measurement));
    }
  }
  if (measurements.empty()) {
    std::cerr << "compare: no rows match '" << pattern << "'; --help lists them\n";
    return 2;
  }
  nlohmann::json document = {{"time", absl::FormatTime(absl::Now(), absl::UTCTimeZone())},
                             {"processors", std::thread::hardware_concurrency()},
                             {"load_average", LoadAverage()},
                             {"rounds", options.rounds},
                             {"rows", nlohmann::json::array()},
                             {"errors", nlohmann::json::array()}};
  absl::PrintF("%d processors, load average %.2f before the run, %d rounds of %s\n\n",
               std::thread::hardware_concurrency(), LoadAverage(), options.rounds,
               absl::FormatDuration(options.round_time));
  absl::PrintF("%-46s %12s  %12s %-26s %8s  %-17s %s\n", "row", "ours", "", "peer or limit", "ratio", "goal", "met");
  int missed = 0;
  for (const Measurement& measurement : measurements) {
    absl::StatusOr<std::vector<Row>> rows = measurement.run(options);
    if (!rows.ok()) {
      std::cerr << measurement.name << ": not measured: " << rows.status() << "\n";
      document["errors"].push_back({{"row", measurement.name}, {"error", rows.status().ToString()}});
      continue;
    }
    for (const Row& row : *rows) {
      Print(row);
      missed += !row.goal.empty() && !row.met;
      document["rows"].push_back(ToJson(row));
    }
  }
  absl::PrintF("\n%d goals missed, %d measurements failed\n", missed, document["errors"].size());
  if (!json_path.empty()) {
    // `bazel run` changes the directory; a path on its command line means the caller's.
    const char* caller = std::getenv("BUILD_WORKING_DIRECTORY");
    std::ofstream file(std::filesystem::path(caller == nullptr ? "" : caller) / json_path);
    file << document.dump(2) << "\n";
    if (!file) {
      std::cerr << "compare: cannot write " << json_path << "\n";
      return 1;
    }
  }
  return document["errors"].empty() ? 0 : 1;
}

}  // namespace
}  // namespace interpd::bench

int main(int argc, char** argv) {
  using namespace interpd::bench;  // NOLINT(google-build-using-namespace)
  CLI::App app("Measures interpd beside its peers and limits. A missed goal is said, and is no failure.");
  std::string pattern, json_path;
  Options options;
  std::string rows = "Only measurements whose name holds this:";
  for (auto* list : {HostMeasurements, ChannelMeasurements, ConstantMeasurements, RingMeasurements, RpcMeasurements,
                     MetricsMeasurements, AttachMeasurements, JobMeasurements, SizeMeasurements}) {
    for (const Measurement& measurement : list()) rows += " '" + measurement.name + "'";
  }
  app.add_option("--rows", pattern, rows);
  app.add_option("--json", json_path, "Write the table to this file as JSON");
  app.add_option("--rounds", options.rounds, "How often ours and the peer take turns")->check(CLI::Range(1, 100));
  app.add_flag("--quick", options.quick, "A short run, for a first look");
  CLI11_PARSE(app, argc, argv);
  if (options.quick) {
    options.rounds = std::min(options.rounds, 3);
    options.round_time = absl::Milliseconds(300);
  }
  return Run(pattern, json_path, options);
}
