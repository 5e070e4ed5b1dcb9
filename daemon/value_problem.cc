#include "daemon/value_problem.h"

#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "daemon/errors.h"
#include "daemon/utf8.h"
#include "daemon/value_proto.h"

namespace interpd::daemon {

using channels::Kind;

Problem Within(Problem problem, std::string_view step) {
  problem.path = absl::StrCat(step, problem.path);
  return problem;
}

std::string IndexStep(size_t index) { return absl::StrCat("[", index, "]"); }

std::string KeyStep(const v1::Value& key, size_t entry) {
  if (key.kind_case() == v1::Value::kStr) {
    return absl::StrCat("['", absl::Utf8SafeCHexEscape(Abridge(key.str(), 64)), "']");
  }
  if (key.kind_case() == v1::Value::kInt) return absl::StrCat("[", key.int_(), "]");
  return absl::StrCat(".values()[", entry, "]");
}

absl::Status InvalidValue(std::string_view field, const Problem& problem) {
  std::string path = absl::StrCat(field, problem.path);
  return MakeError(absl::StatusCode::kInvalidArgument, v1::INVALID_VALUE, absl::StrCat(path, ": ", problem.what),
                   {{"field", field}, {"path", path}});
}

std::optional<Kind> ContainerKind(v1::Container container) {
  switch (container) {
    case v1::TUPLE: return Kind::kTuple;
    case v1::LIST: return Kind::kList;
    case v1::SET: return Kind::kSet;
    case v1::FROZENSET: return Kind::kFrozenSet;
    case v1::DICT: return Kind::kDict;
    default: return std::nullopt;
  }
}

Outcome CheckContainer(v1::Container container, size_t items, int depth, MustHash must_hash) {
  const std::optional<Kind> kind = ContainerKind(container);
  if (!kind) return Problem{"", absl::StrCat("container ", static_cast<int>(container), " is not known"), ""};
  const std::string type(channels::TypeName(*kind));
  if (depth >= kMaxWireDepth) return Problem{"", absl::StrCat("nested deeper than ", kMaxWireDepth, " levels"), type};
  const bool hashable = *kind == Kind::kTuple || *kind == Kind::kFrozenSet;
  if (must_hash == MustHash::kYes && !hashable) {
    return Problem{"", absl::StrCat("a ", type, " cannot be hashed, so it is no key and no element of a set"), type};
  }
  if (*kind == Kind::kDict && items % 2 != 0) {
    return Problem{"", "a DICT holds key, value, key, value, ...; the number of its items is odd", "dict"};
  }
  return std::nullopt;
}

Problem WithinContainer(Kind kind, size_t index, const v1::Value* key, Problem problem) {
  if (kind != Kind::kDict) return Within(std::move(problem), IndexStep(index));
  if (index % 2 == 0) return Within(std::move(problem), absl::StrCat(".keys()[", index / 2, "]"));
  return Within(std::move(problem), KeyStep(*key, index / 2));
}

}  // namespace interpd::daemon
