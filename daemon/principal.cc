#include "daemon/principal.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace interpd::daemon {

std::optional<Role> ParseRole(std::string_view text) {
  for (Role role : {Role::kViewer, Role::kUser, Role::kAdmin}) {
    if (text == RoleName(role)) return role;
  }
  return std::nullopt;
}

std::string_view RoleName(Role role) {
  switch (role) {
    case Role::kViewer: return "viewer";
    case Role::kUser: return "user";
    case Role::kAdmin: return "admin";
  }
  return "none";
}

PrincipalRef MakePrincipal(std::string_view kind, std::string_view name, Role role, PrincipalLimits limits) {
  std::string full = absl::StrCat(kind, ":");
  for (unsigned char c : name) {
    if (absl::ascii_isalnum(c) || c == '_' || c == '-' || c == '.' || c == '@' || c == '+' || c == ':') {
      full.push_back(static_cast<char>(c));
    } else {
      absl::StrAppend(&full, "%", absl::Hex(c, absl::kZeroPad2));
    }
  }
  Principal principal{.name = full, .role = role, .limits = limits};
  if (role == Role::kUser) principal.space = absl::StrCat(full, "/");
  return std::make_shared<const Principal>(std::move(principal));
}

}  // namespace interpd::daemon
