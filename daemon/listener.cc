#include "daemon/listener.h"

#include <fcntl.h>
#include <grpcpp/security/server_credentials.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <optional>
#include <sstream>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "daemon/peer_credentials.h"

namespace interpd::daemon {
namespace {

constexpr size_t kMaxSocketPath = sizeof(sockaddr_un::sun_path) - 1;
constexpr char kRootDirectory[] = "/run/interpd";

std::string LockPath(const std::string& path) { return absl::StrCat(path, ".lock"); }

absl::Status SystemError(std::string_view what, const std::string& path, int error) {
  return absl::ErrnoToStatus(error, absl::StrCat(what, " ", path));
}

// Whether somebody accepts connections there.
bool IsServed(const std::string& path) {
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return false;
  sockaddr_un address = {.sun_family = AF_UNIX};
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  int result = connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  // EAGAIN: there is a listener, with a full backlog.
  bool served = result == 0 || errno == EAGAIN || errno == EINPROGRESS;
  close(fd);
  return served;
}

absl::Status InUse(const std::string& path) {
  return absl::AlreadyExistsError(
      absl::StrCat("another daemon listens on unix:", path, "; stop it first, or choose another path with --listen"));
}

// Opens and locks `path`. Whoever lets go of a lock removes its file, so the one that we have locked may be no longer
// the one that others will see: then again.
absl::StatusOr<int> LockFile(const std::string& path, const std::string& socket_path) {
  for (;;) {
    int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return SystemError("cannot open the lock file", path, errno);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
      int error = errno;
      close(fd);
      return error == EWOULDBLOCK ? InUse(socket_path) : SystemError("cannot lock", path, error);
    }
    struct stat ours, there;
    if (fstat(fd, &ours) == 0 && stat(path.c_str(), &there) == 0 && ours.st_ino == there.st_ino &&
        ours.st_dev == there.st_dev) {
      return fd;
    }
    close(fd);
  }
}

bool IsLoopback(std::string_view host) {
  return host == "localhost" || host == "[::1]" ||
         (absl::StartsWith(host, "127.") && host.find_first_not_of("0123456789.") == std::string_view::npos);
}

// A client must show one of what the daemon can check; what is left open is asked for by nobody.
ClientCertificate ClientCertificateOf(const Config& config) {
  if (config.tls.client_ca.empty()) return ClientCertificate::kNone;
  return config.access.token_file.empty() ? ClientCertificate::kRequired : ClientCertificate::kOptional;
}

absl::StatusOr<Server::Endpoint> TcpEndpoint(const std::string& address, const Config& config,
                                             TlsCertificates* certificates) {
  size_t colon = address.rfind(':');
  uint32_t port = 0;
  if (colon == std::string::npos || colon == 0 || !absl::SimpleAtoi(address.substr(colon + 1), &port) || port > 65535) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", address, "' is no address to listen on; write unix:PATH or HOST:PORT"));
  }
  if (certificates != nullptr) {
    if (config.tls.client_ca.empty() && config.access.token_file.empty()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "will not listen on ", address,
          " without a way to know clients: give tls.client_ca (--tls-client-ca), access.token_file (--token-file) or "
          "both"));
    }
    return Server::Endpoint{address, certificates->Credentials(ClientCertificateOf(config))};
  }
  if (!config.insecure || !IsLoopback(std::string_view(address).substr(0, colon))) {
    return absl::InvalidArgumentError(absl::StrCat(
        "will not listen on ", address,
        " without TLS: whoever reaches it could run code here. Give --tls-cert and --tls-key, or listen on a "
        "loopback address such as 127.0.0.1 with --insecure"));
  }
  return Server::Endpoint{address, grpc::InsecureServerCredentials()};
}

}  // namespace

absl::StatusOr<std::string> DefaultAddress() {
  // From systemd, for a service; of several, the first.
  if (const char* runtime = std::getenv("RUNTIME_DIRECTORY"); runtime != nullptr && *runtime != '\0') {
    return absl::StrCat("unix:", std::string_view(runtime).substr(0, std::string_view(runtime).find(':')),
                        "/interpd.sock");
  }
  if (geteuid() == 0) return absl::StrCat("unix:", kRootDirectory, "/interpd.sock");
  const char* directory = std::getenv("XDG_RUNTIME_DIR");
  if (directory == nullptr || *directory == '\0') {
    return absl::FailedPreconditionError(
        "XDG_RUNTIME_DIR is not set, so there is no default socket; give one with --listen unix:PATH");
  }
  return absl::StrCat("unix:", directory, "/interpd.sock");
}

// ---- SocketLock -----------------------------------------------------------------------------------------------------

absl::StatusOr<SocketLock> SocketLock::Acquire(const std::string& path) {
  if (path.empty()) return absl::InvalidArgumentError("unix: needs a path, as in unix:/tmp/interpd.sock");
  if (path.size() > kMaxSocketPath) {
    return absl::InvalidArgumentError(absl::StrCat("the socket path has ", path.size(),
                                                   " bytes, and Linux takes at most ", kMaxSocketPath, ": ", path,
                                                   "; choose a shorter one"));
  }
  if (absl::StartsWith(path, kRootDirectory)) mkdir(kRootDirectory, 0755);  // if it fails, the next call says why
  absl::StatusOr<int> fd = LockFile(LockPath(path), path);
  if (!fd.ok()) return fd.status();
  SocketLock lock(path, *fd);
  struct stat there;
  if (lstat(path.c_str(), &there) == 0) {
    if (!S_ISSOCK(there.st_mode)) {
      return absl::AlreadyExistsError(absl::StrCat(path, " exists and is no socket; it is left as it is"));
    }
    // Nobody holds the lock, yet somebody who does not know of locks may serve.
    if (IsServed(path)) return InUse(path);
    if (unlink(path.c_str()) != 0) return SystemError("cannot remove the stale socket", path, errno);
  }
  return lock;
}

SocketLock::SocketLock(SocketLock&& other) noexcept
    : path_(std::move(other.path_)),
      fd_(std::exchange(other.fd_, -1)),
      socket_inode_(std::exchange(other.socket_inode_, 0)) {}

SocketLock::~SocketLock() {
  if (fd_ < 0) return;
  struct stat there;
  if (socket_inode_ != 0 && lstat(path_.c_str(), &there) == 0 && there.st_ino == socket_inode_) unlink(path_.c_str());
  // While the lock is held, so that nobody else can have locked this file.
  unlink(LockPath(path_).c_str());
  close(fd_);
}

absl::Status SocketLock::Bound() {
  struct stat there;
  if (lstat(path_.c_str(), &there) != 0) return SystemError("no socket at", path_, errno);
  socket_inode_ = there.st_ino;
  return absl::OkStatus();
}

// ---- Listener -------------------------------------------------------------------------------------------------------

absl::StatusOr<Listener> Listener::Prepare(const Config& config, const std::vector<int>& inherited) {
  std::optional<gid_t> group;
  if (!config.socket_group.empty()) {
    absl::StatusOr<gid_t> found = FindGroup(config.socket_group);
    if (!found.ok()) return absl::NotFoundError(absl::StrCat("socket_group: ", found.status().message()));
    group = *found;
  }
  std::vector<std::string> addresses = config.listen;
  if (addresses.empty() && inherited.empty()) {
    absl::StatusOr<std::string> address = DefaultAddress();
    if (!address.ok()) return address.status();
    addresses.push_back(*std::move(address));
  }
  Listener listener;
  if (!config.tls.cert.empty()) {
    absl::StatusOr<std::shared_ptr<TlsCertificates>> certificates = TlsCertificates::Load(config.tls);
    if (!certificates.ok()) return certificates.status();
    listener.certificates_ = *std::move(certificates);
  }
  for (const std::string& address : addresses) {
    std::string_view path = address;
    if (!absl::ConsumePrefix(&path, "unix:")) {
      absl::StatusOr<Server::Endpoint> endpoint = TcpEndpoint(address, config, listener.certificates_.get());
      if (!endpoint.ok()) return endpoint.status();
      listener.endpoints_.push_back(*std::move(endpoint));
      continue;
    }
    if (absl::StartsWith(path, "///")) path.remove_prefix(2);  // unix:///PATH, as gRPC also reads it
    absl::StatusOr<SocketLock> lock = SocketLock::Acquire(std::string(path));
    if (!lock.ok()) return lock.status();
    listener.locks_.push_back(*std::move(lock));
    listener.endpoints_.push_back({.address = absl::StrCat("unix:", path), .mode = config.socket_mode, .group = group});
  }
  for (int fd : inherited) listener.endpoints_.push_back({.inherited_fd = fd});
  return listener;
}

absl::Status Listener::Bound() {
  for (SocketLock& lock : locks_) {
    absl::Status status = lock.Bound();
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace interpd::daemon
