// YAML mappings as messages of the API.
//
// Who includes this: the reader of job files.
#ifndef INTERPD_CLIENT_CLI_JOB_FIELDS_H_
#define INTERPD_CLIENT_CLI_JOB_FIELDS_H_

#include <yaml-cpp/yaml.h>

#include <functional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "google/protobuf/message.h"

namespace interpd::client {

// What is wrong at `node`: "FILE:LINE:COLUMN: PATH: WHAT".
absl::Status YamlError(std::string_view file, const YAML::Node& node, std::string_view path, std::string_view what);

struct YamlContext {
  std::string file;  // as errors call it
  absl::Time now;    // for times relative to it
  // Takes a key of its own accord: true if it did.
  std::function<absl::StatusOr<bool>(const std::string& key, const YAML::Node& value, const std::string& path)>
      special = nullptr;
};

// Sets the fields of `message` that `mapping` names; `path` is how errors call it. A field that was set before is
// replaced. What each may be goes by its type; ValueBatch is a list of values.
absl::Status ReadFields(const YamlContext& context, const YAML::Node& mapping, const std::string& path,
                        google::protobuf::Message* message);

}  // namespace interpd::client

#endif  // INTERPD_CLIENT_CLI_JOB_FIELDS_H_
