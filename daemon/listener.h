// Listener: the addresses that the daemon listens on, and what must hold before it does.
//
// A unix socket outlives a daemon that was killed, and nothing about it tells whether another serves on it. So each has
// a lock file beside it, PATH.lock, that is held as long as the daemon lives; whoever holds it owns the path.
//
// Who includes this: main.cc.
#ifndef INTERPD_DAEMON_LISTENER_H_
#define INTERPD_DAEMON_LISTENER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "daemon/config.h"
#include "daemon/server.h"
#include "daemon/tls_credentials.h"

namespace interpd::daemon {

// The default address of this user: in RUNTIME_DIRECTORY, if that is set; else as root unix:/run/interpd/interpd.sock,
// else unix:$XDG_RUNTIME_DIR/interpd.sock. Errors: XDG_RUNTIME_DIR is not set.
absl::StatusOr<std::string> DefaultAddress();

// A unix socket's path, locked.
class SocketLock {
 public:
  // Takes the lock and removes a socket that nobody serves. Errors: the path is too long, its directory is missing,
  // what is there is no socket, another daemon serves on it.
  static absl::StatusOr<SocketLock> Acquire(const std::string& path);

  SocketLock(SocketLock&& other) noexcept;
  SocketLock& operator=(SocketLock&& other) = delete;
  // Removes socket and lock file, if they are still ours.
  ~SocketLock();

  // The socket exists now and is ours.
  absl::Status Bound();

 private:
  SocketLock(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}

  std::string path_;
  int fd_;
  uint64_t socket_inode_ = 0;  // 0: not ours, or not bound
};

class Listener {
 public:
  // Checks every address of the configuration and takes the locks. Errors: as above, or TCP without TLS that is not
  // both insecure and on loopback, or with TLS and no way to know clients, TLS files that cannot be read, a group that
  // does not exist. `inherited`: listening unix sockets that this process was started with, to listen on too; they get
  // no lock, since whoever made them owns their paths. With some, the default address is not used.
  static absl::StatusOr<Listener> Prepare(const Config& config, const std::vector<int>& inherited = {});

  // What to start the server with.
  const std::vector<Server::Endpoint>& endpoints() const { return endpoints_; }

  // What TCP is served with; null: no TLS.
  TlsCertificates* certificates() const { return certificates_.get(); }

  // After the server was started.
  absl::Status Bound();

 private:
  std::shared_ptr<TlsCertificates> certificates_;
  std::vector<Server::Endpoint> endpoints_;
  std::vector<SocketLock> locks_;
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_LISTENER_H_
