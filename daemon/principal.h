// Principal: on whose behalf a request comes, and what it may.
//
// Who includes this: what finds out who a client is, and every RPC that asks whose a resource is. A Principal is never
// changed once it is made; any thread may read it.
//
// Every resource has an owner. A user's are in a space of names of its own (channels/names.h): it says "one" and means
// "unix:alice/one". It has no way to say another's name, so that one is answered as any that there is not. Admins and
// viewers are in the space without a name, which belongs to all admins, and say others' names in full.
#ifndef INTERPD_DAEMON_PRINCIPAL_H_
#define INTERPD_DAEMON_PRINCIPAL_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/strings/strip.h"

namespace interpd::daemon {

// Each may what those before it may.
//   viewer  sees which resources there are and how they fare, of all owners; nothing of what is in them
//   user    makes and uses resources of its own, and sees no others
//   admin   everything
enum class Role { kViewer, kUser, kAdmin };

// "viewer", "user", "admin".
std::optional<Role> ParseRole(std::string_view text);
std::string_view RoleName(Role role);

// 0: no limit beyond the daemon's own.
struct PrincipalLimits {
  int64_t max_interpreters = 0;  // of a user
  int64_t max_in_flight = 0;     // RPCs
  double requests_per_second = 0;
  int64_t max_message_bytes = 0;

  friend bool operator==(const PrincipalLimits&, const PrincipalLimits&) = default;
};

struct Principal {
  std::string name;  // "unix:alice", "cert:build.example", "token:ci"
  Role role = Role::kViewer;
  std::string space;  // of its names: empty, or the user's name and '/'
  PrincipalLimits limits;

  // Whether it may know of what is in that space.
  bool Sees(std::string_view other) const { return role != Role::kUser || other == space; }
  // As it writes it: without the space, if that is its own.
  std::string_view Shown(std::string_view full_name) const { return absl::StripPrefix(full_name, space); }
};

using PrincipalRef = std::shared_ptr<const Principal>;

// `kind` is "unix", "cert" or "token". Of `name`, what may not be in a space is written as "%20".
PrincipalRef MakePrincipal(std::string_view kind, std::string_view name, Role role, PrincipalLimits limits);

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_PRINCIPAL_H_
