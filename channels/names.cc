#include "channels/names.h"

#include <cctype>
#include <cstddef>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "channels/error.h"

namespace interpd::channels {
namespace {

constexpr size_t kMaxNameLength = 63;

bool IsValidName(std::string_view name) {
  if (name.empty() || name.size() > kMaxNameLength || !std::isalnum(static_cast<unsigned char>(name[0]))) return false;
  for (unsigned char c : name) {
    if (c >= 0x80 || (!std::isalnum(c) && c != '_' && c != '-' && c != '.')) return false;
  }
  return true;
}

}  // namespace

std::string_view SpaceOf(std::string_view name) {
  const size_t slash = name.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : name.substr(0, slash + 1);
}

std::string_view IdOf(std::string_view name) { return name.substr(SpaceOf(name).size()); }

std::string ThereAre(const std::vector<std::string_view>& names) {
  if (names.empty()) return "; there is none at all, make one first";
  if (names.size() > kNamesInMessages) return "";
  return absl::StrCat("; there are: ", absl::StrJoin(names, ", ", [](std::string* out, std::string_view name) {
                        absl::StrAppend(out, IdOf(name));
                      }));
}

absl::Status CheckName(std::string_view name, std::string_view what, std::string_view field) {
  if (IsValidName(name)) return absl::OkStatus();
  return MakeError(absl::StatusCode::kInvalidArgument, "INVALID_FIELD",
                   absl::StrCat("'", name, "' is no name for ", what,
                                ": 1 to 63 characters, letters, digits, '_', '-' and '.', the first a letter or digit"),
                   {{"field", field}});
}

}  // namespace interpd::channels
