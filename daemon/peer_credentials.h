// Who is at the other end of a unix connection, as the kernel says.
//
// Who includes this: the unix listener, and the policy that makes a principal of it.
#ifndef INTERPD_DAEMON_PEER_CREDENTIALS_H_
#define INTERPD_DAEMON_PEER_CREDENTIALS_H_

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace interpd::daemon {

// As they were when the peer connected.
struct PeerCredentials {
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;  // the supplementary ones
};

// Errors: the fd is no connected unix socket.
absl::StatusOr<PeerCredentials> ReadPeerCredentials(int fd);

// By name or number. Errors: there is none of that name (NOT_FOUND), or it cannot be looked up.
absl::StatusOr<uid_t> FindUser(const std::string& name);
absl::StatusOr<gid_t> FindGroup(const std::string& name);

// The user's name, or its number in digits when the system knows no name. Errors: it cannot be looked up, as when a
// directory service is away. Reads files: not for the event loop.
absl::StatusOr<std::string> UserName(uid_t uid);

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_PEER_CREDENTIALS_H_
