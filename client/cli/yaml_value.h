// YAML nodes as Python values.
//
// Who includes this: the reader of job files.
#ifndef INTERPD_CLIENT_CLI_YAML_VALUE_H_
#define INTERPD_CLIENT_CLI_YAML_VALUE_H_

#include <yaml-cpp/yaml.h>

#include <string>

#include "absl/status/statusor.h"
#include "interpd/v1/value.pb.h"

namespace interpd::client {

// What a plain scalar means is as YAML 1.2's core schema has it: null, true, 12, 0x1f, 1.5, .inf; all else is text, as
// is what stands in quotes. JSON is read as itself. Mappings with one key that begins with '$' are special as in
// client/cli/value_json.h; those whose keys are not all text become dicts too. INVALID_ARGUMENT, OUT_OF_RANGE as there,
// and INVALID_ARGUMENT when a tag (!!float) says of a text what it is not.
absl::StatusOr<v1::Value> YamlToValue(const YAML::Node& node);

// What a scalar means, or is said to mean by its tag: "null", "bool", "int", "float" or "str".
std::string YamlScalarType(const YAML::Node& scalar);

}  // namespace interpd::client

#endif  // INTERPD_CLIENT_CLI_YAML_VALUE_H_
