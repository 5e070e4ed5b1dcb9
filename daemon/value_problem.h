// Where in a value something is wrong, and what the decoders of values agree on.
//
// Who includes this: the decoders, value_proto.cc and constant_value.cc. Thread safety: plain functions.
#ifndef INTERPD_DAEMON_VALUE_PROBLEM_H_
#define INTERPD_DAEMON_VALUE_PROBLEM_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "channels/value.h"
#include "interpd/v1/value.pb.h"

namespace interpd::daemon {

// The path is put together on the way out of the recursion, so that it costs nothing while all is well.
struct Problem {
  std::string path;
  std::string what;
  std::string type;  // the Python type there, if known
};
using Outcome = std::optional<Problem>;  // none: fine

// The same, seen from one level further out.
Problem Within(Problem problem, std::string_view step);

// Steps of a path: "[3]"; and how the value under a dict's key is named: "['key']", "[5]", or by its place.
std::string IndexStep(size_t index);
std::string KeyStep(const v1::Value& key, size_t entry);

// INVALID_VALUE. `field` begins the path: "args[2]['key']".
absl::Status InvalidValue(std::string_view field, const Problem& problem);

enum class MustHash { kNo, kYes };  // whether a value stands where Python hashes it

std::optional<channels::Kind> ContainerKind(v1::Container container);

// What is wrong with a container of so many items at that depth, if anything is: its kind, nesting, a place that wants
// what can be hashed, half an entry.
Outcome CheckContainer(v1::Container container, size_t items, int depth, MustHash must_hash);

// The element of a container that is wrong: the problem as seen from the container. `key` is, behind a dict's value,
// its key.
Problem WithinContainer(channels::Kind kind, size_t index, const v1::Value* key, Problem problem);

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_VALUE_PROBLEM_H_
