// Helper programs that print one JSON document: Python peers and the probe of the host API.
#ifndef INTERPD_TESTS_BENCH_PEER_H_
#define INTERPD_TESTS_BENCH_PEER_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"
#include "tests/bench/child_process.h"

namespace interpd::bench {

inline absl::StatusOr<nlohmann::json> RunForJson(const std::vector<std::string>& command) {
  absl::StatusOr<std::string> output = RunForOutput(command);
  if (!output.ok()) return output.status();
  nlohmann::json document = nlohmann::json::parse(*output, nullptr, /*allow_exceptions=*/false);
  if (document.is_discarded()) return absl::InternalError(absl::StrCat(command[0], " printed no JSON: ", *output));
  return document;
}

// A script of tests/bench/peers, run by the distribution's Python.
inline absl::StatusOr<nlohmann::json> RunPythonPeer(std::string_view script, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"python3.14", RunfilePath(absl::StrCat("tests/bench/peers/", script))});
  return RunForJson(arguments);
}

}  // namespace interpd::bench

#endif  // INTERPD_TESTS_BENCH_PEER_H_
