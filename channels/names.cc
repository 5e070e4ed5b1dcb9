#include "channels/names.h"

#include <cctype>
#include <cstddef>

#include "absl/strings/str_cat.h"
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

absl::Status CheckName(std::string_view name, std::string_view what, std::string_view field) {
  if (IsValidName(name)) return absl::OkStatus();
  return MakeError(absl::StatusCode::kInvalidArgument, "INVALID_FIELD",
                   absl::StrCat("'", name, "' is no name for ", what,
                                ": 1 to 63 characters, letters, digits, '_', '-' and '.', the first a letter or digit"),
                   {{"field", field}});
}

}  // namespace interpd::channels
