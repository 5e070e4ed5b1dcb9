#include "daemon/peer_credentials.h"

#include <grp.h>
#include <pwd.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace interpd::daemon {

namespace {

// Asks the system's books with as much memory as the entry takes. Errors: NOT_FOUND, or the books cannot be read.
template <typename Entry, typename Function, typename Key, typename Take>
auto Look(Function function, Key key, Take take) -> absl::StatusOr<decltype(take(std::declval<Entry>()))> {
  std::vector<char> buffer(1024);
  for (;;) {
    Entry entry;
    Entry* found = nullptr;
    const int error = function(key, &entry, buffer.data(), buffer.size(), &found);
    if (found != nullptr) return take(*found);
    if (error == ERANGE) {
      buffer.resize(2 * buffer.size());
    } else if (error == 0 || error == ENOENT || error == ESRCH || error == EBADF || error == EPERM) {
      return absl::NotFoundError("there is none");  // some say it by an error, see getpwnam(3)
    } else if (error != EINTR) {
      return absl::UnavailableError(std::strerror(error));
    }
  }
}

absl::Status NoSuch(std::string_view what, std::string_view name, const absl::Status& why) {
  if (absl::IsNotFound(why)) return absl::NotFoundError(absl::StrCat("there is no ", what, " '", name, "'"));
  return absl::UnavailableError(absl::StrCat("cannot look up the ", what, " '", name, "': ", why.message()));
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
  absl::StatusOr<uid_t> found =
      Look<passwd>(getpwnam_r, name.c_str(), [](const passwd& entry) { return entry.pw_uid; });
  return found.ok() ? found : NoSuch("user", name, found.status());
}

absl::StatusOr<gid_t> FindGroup(const std::string& name) {
  gid_t number;
  if (absl::SimpleAtoi(name, &number)) return number;
  absl::StatusOr<gid_t> found = Look<group>(getgrnam_r, name.c_str(), [](const group& entry) { return entry.gr_gid; });
  return found.ok() ? found : NoSuch("group", name, found.status());
}

absl::StatusOr<std::string> UserName(uid_t uid) {
  absl::StatusOr<std::string> name =
      Look<passwd>(getpwuid_r, uid, [](const passwd& entry) { return std::string(entry.pw_name); });
  if (absl::IsNotFound(name.status())) return absl::StrCat(uid);
  return name;
}

}  // namespace interpd::daemon
