#include "daemon/access.h"

#include <unistd.h>

#include "absl/strings/str_cat.h"

namespace interpd::daemon {

Access::Access()
    : own_uid_(geteuid()),
      anonymous_(std::make_shared<const Principal>(Principal{.name = "anonymous", .role = Role::kAdmin})) {}

PrincipalRef Access::OfUnixPeer(const PeerCredentials& peer) {
  if (peer.uid != own_uid_ && peer.uid != 0) return nullptr;
  {
    absl::MutexLock lock(mutex_);
    auto found = of_users_.find(peer.uid);
    if (found != of_users_.end()) return found->second;
  }
  auto made = std::make_shared<const Principal>(
      Principal{.name = absl::StrCat("unix:", UserName(peer.uid)), .role = Role::kAdmin});
  absl::MutexLock lock(mutex_);
  return of_users_.emplace(peer.uid, std::move(made)).first->second;
}

}  // namespace interpd::daemon
