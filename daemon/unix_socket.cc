#include "daemon/unix_socket.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string_view>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"

namespace interpd::daemon {
namespace {

absl::Status SystemError(std::string_view what, std::string_view path) {
  return absl::FailedPreconditionError(absl::StrCat(what, " unix:", path, ": ", std::strerror(errno)));
}

// By a descriptor of the socket's inode: the path could lead elsewhere by now.
absl::Status SetModeAndGroup(const std::string& path, uint32_t mode, std::optional<gid_t> group) {
  int inode = open(path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC);
  if (inode < 0) return SystemError("cannot find", path);
  absl::Cleanup close_inode = [inode] { close(inode); };
  struct stat made;
  if (fstat(inode, &made) != 0 || !S_ISSOCK(made.st_mode)) {
    return absl::FailedPreconditionError(absl::StrCat("unix:", path, " was replaced by something else"));
  }
  if (group && fchownat(inode, "", static_cast<uid_t>(-1), *group, AT_EMPTY_PATH) != 0) {
    return SystemError(absl::StrCat("cannot give group ", *group, " to"), path);
  }
  // chmod refuses such a descriptor itself, but not its name.
  if (chmod(absl::StrCat("/proc/self/fd/", inode).c_str(), mode) != 0)
    return SystemError("cannot set the mode of", path);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<int> ListenOnUnixSocket(const std::string& path, uint32_t mode, std::optional<gid_t> group) {
  sockaddr_un address = {.sun_family = AF_UNIX};
  if (path.empty() || path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(absl::StrCat("unix:", path, " is no path for a socket"));
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return SystemError("cannot make a socket for", path);
  absl::Cleanup close_fd = [fd] { close(fd); };
  if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return SystemError("cannot listen on", path);
  }
  absl::Status set = SetModeAndGroup(path, mode, group);
  if (set.ok() && listen(fd, SOMAXCONN) != 0) set = SystemError("cannot listen on", path);
  if (!set.ok()) {
    unlink(path.c_str());
    return set;
  }
  std::move(close_fd).Cancel();
  return fd;
}

absl::StatusOr<std::string> AdoptUnixSocket(int fd) {
  int type = 0, listening = 0;
  socklen_t size = sizeof(type);
  sockaddr_un address = {};
  socklen_t length = sizeof(address);
  if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0 ||
      getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) != 0 ||
      getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0 || address.sun_family != AF_UNIX ||
      type != SOCK_STREAM || listening == 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("file descriptor ", fd, ", with which this process was started, is no listening unix socket"));
  }
  if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) != 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot prepare file descriptor ", fd));
  }
  std::string_view path(address.sun_path, length - offsetof(sockaddr_un, sun_path));
  if (!path.empty() && path[0] == '\0') return absl::StrCat("unix-abstract:", path.substr(1));
  return absl::StrCat("unix:", path.substr(0, path.find('\0')));
}

}  // namespace interpd::daemon
