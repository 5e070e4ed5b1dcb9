#include "daemon/peer_credentials.h"

#include <pwd.h>
#include <sys/socket.h>

#include <cerrno>

#include "absl/strings/str_cat.h"

namespace interpd::daemon {

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

std::string UserName(uid_t uid) {
  std::vector<char> buffer(1024);
  for (;;) {
    passwd entry;
    passwd* found = nullptr;
    int error = getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found);
    if (error == ERANGE) {
      buffer.resize(2 * buffer.size());
      continue;
    }
    return found == nullptr ? absl::StrCat(uid) : std::string(found->pw_name);
  }
}

}  // namespace interpd::daemon
