// Python values as JSON text, for people and scripts at a command line.
//
// Who includes this: interpctl's commands that take or print values, and tests.
//
//   Python                          JSON
//   None, bool, str, list           null, true/false, string, array
//   int                             number, of any size, exact
//   float                           number; NaN, Infinity, -Infinity, as Python's json module writes them
//   dict whose keys are all str     object
//   tuple                           array (so it comes back as a list; {"$tuple": [...]} is read as a tuple)
//   bytes                           {"$bytes": "base64"}
//   complex                         {"$complex": [real, imag]}
//   set, frozenset                  {"$set": [...]}, {"$frozenset": [...]}
//   any other dict                  {"$dict": [[key, value], ...]}
//   str with lone surrogates        string with \ud800 escapes (written only)
//   channel                         {"$channel": "ID"}
//   buffer (memoryview)             {"$buffer": "base64"}, or of other forms ["base64", "format"],
//                                   ["base64", "format", [items in each dimension]]
//   what travels pickled            {"$pickle": "base64"}
//
// An object is read in such a special way only if its one key is one of these; a dict that would be mistaken for one is
// written as a $dict.
#ifndef INTERPD_CLIENT_CLI_VALUE_JSON_H_
#define INTERPD_CLIENT_CLI_VALUE_JSON_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "interpd/v1/value.pb.h"

namespace interpd::client {

// Levels of containers that a Value may have.
inline constexpr int kMaxJsonValueDepth = 64;

// On one line, in UTF-8.
std::string ValueToJson(const v1::Value& value);

// INVALID_ARGUMENT: no JSON, or bad UTF-8, or a special object with the wrong content. OUT_OF_RANGE: nested too deeply,
// or a float that is too large.
absl::StatusOr<v1::Value> JsonToValue(std::string_view json);

// An argument of a command: JSON, or else a string just as it stands. What begins as only JSON can, with {, [ or ",
// must be JSON.
absl::StatusOr<v1::Value> ArgumentToValue(std::string_view argument);

}  // namespace interpd::client

#endif  // INTERPD_CLIENT_CLI_VALUE_JSON_H_
