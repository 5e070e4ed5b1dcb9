#include "daemon/full_name.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace interpd::daemon {
namespace {

constexpr size_t kMaxIdLength = 63;
constexpr size_t kMaxSpaceLength = 512;

bool IsValidSpace(std::string_view space) {
  if (space.empty()) return true;
  if (space.size() > kMaxSpaceLength || space.size() < 2) return false;
  for (char c : space.substr(0, space.size() - 1)) {
    if (!absl::ascii_isgraph(static_cast<unsigned char>(c)) || c == '/') return false;
  }
  return space.find(':') != std::string_view::npos;  // behind the kind of its owner: "unix:alice/"
}

}  // namespace

bool IsValidId(std::string_view id) {
  if (id.empty() || id.size() > kMaxIdLength || !absl::ascii_isalnum(id[0])) return false;
  for (char c : id) {
    if (!absl::ascii_isalnum(c) && c != '_' && c != '-' && c != '.') return false;
  }
  return true;
}

std::string OwnerOf(std::string_view full_name) {
  return std::string(absl::StripSuffix(channels::SpaceOf(full_name), "/"));
}

std::optional<std::string> FullName(std::string_view space, std::string_view written) {
  if (space.empty()) {
    if (!IsValidSpace(channels::SpaceOf(written)) || !IsValidId(channels::IdOf(written))) return std::nullopt;
    return std::string(written);
  }
  if (!IsValidId(written)) return std::nullopt;
  return absl::StrCat(space, written);
}

}  // namespace interpd::daemon
