#include "daemon/peer_credentials.h"

#include <grp.h>
#include <pwd.h>
#include <sys/socket.h>

#include <cerrno>
#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace interpd::daemon {

namespace {

// Asks the system's books with as much memory as the entry takes. None: there is no entry.
template <typename Entry, typename Function, typename Key, typename Take>
auto Look(Function function, Key key, Take take) -> std::optional<decltype(take(std::declval<Entry>()))> {
  std::vector<char> buffer(1024);
  for (;;) {
    Entry entry;
    Entry* found = nullptr;
    const int error = function(key, &entry, buffer.data(), buffer.size(), &found);
    if (found != nullptr) return take(*found);
    if (error != ERANGE) return std::nullopt;
    buffer.resize(2 * buffer.size());
  }
}

}  // namespace

absl::StatusOr<PeerCredentials> ReadPeerCredentials(int fd) {
  ucred kernels;
  socklen_t size = sizeof(kernels);
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &kernels, &size) != 0) {
    return absl::ErrnoToStatus(errno, "cannot tell who has connected");
  }
  PeerCredentials credentials{.uid = kernels.uid, .gid = kernels.gid, .groups = std::vector<gid_t>(16)};
  for (;;) {
    size = static_cast<socklen_t>(credentials.groups.size() * sizeof(gid_t));
    int result = getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, credentials.groups.data(), &size);
    if (result != 0 && errno != ERANGE)
      return absl::ErrnoToStatus(errno, "cannot tell the groups of who has connected");
    credentials.groups.resize(size / sizeof(gid_t));  // with ERANGE, the kernel has said how many there are
    if (result == 0) return credentials;
  }
}

absl::StatusOr<uid_t> FindUser(const std::string& name) {
  uid_t number;
  if (absl::SimpleAtoi(name, &number)) return number;
  std::optional<uid_t> found = Look<passwd>(getpwnam_r, name.c_str(), [](const passwd& entry) { return entry.pw_uid; });
  if (found) return *found;
  return absl::NotFoundError(absl::StrCat("there is no user '", name, "'"));
}

absl::StatusOr<gid_t> FindGroup(const std::string& name) {
  gid_t number;
  if (absl::SimpleAtoi(name, &number)) return number;
  std::optional<gid_t> found = Look<group>(getgrnam_r, name.c_str(), [](const group& entry) { return entry.gr_gid; });
  if (found) return *found;
  return absl::NotFoundError(absl::StrCat("there is no group '", name, "'"));
}

std::string UserName(uid_t uid) {
  std::optional<std::string> name =
      Look<passwd>(getpwuid_r, uid, [](const passwd& entry) { return std::string(entry.pw_name); });
  return name ? *std::move(name) : absl::StrCat(uid);
}

}  // namespace interpd::daemon
