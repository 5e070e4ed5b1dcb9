// Listening unix sockets: those that we make, and those that we were started with.
//
// Who includes this: the server, which has a UnixListener accept on them.
#ifndef INTERPD_DAEMON_UNIX_SOCKET_H_
#define INTERPD_DAEMON_UNIX_SOCKET_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"

namespace interpd::daemon {

// Makes a socket at `path` and listens. Nobody can connect before it has its mode and group. Errors: there is something
// at the path, its directory is missing, this process may not give it that group.
absl::StatusOr<int> ListenOnUnixSocket(const std::string& path, uint32_t mode, std::optional<gid_t> group);

// Checks and prepares a socket that this process was started with, as by systemd. Its address, as "unix:PATH". Errors:
// it is no listening unix stream socket.
absl::StatusOr<std::string> AdoptUnixSocket(int fd);

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_UNIX_SOCKET_H_
