#include "daemon/service_manager.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <utility>

#include "absl/log/log.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace interpd::daemon {
namespace {

// A socket that sends to the address in the variable's form: a path, or '@' and a name of the abstract space. -1 and a
// log line: that is no such address, or nobody listens there.
int Connect(const std::string& address) {
  sockaddr_un peer = {.sun_family = AF_UNIX};
  if (address.size() >= sizeof(peer.sun_path) || (address[0] != '/' && address[0] != '@')) {
    LOG(WARNING) << "NOTIFY_SOCKET is no address of a unix socket: " << address;
    return -1;
  }
  std::memcpy(peer.sun_path, address.data(), address.size());
  if (address[0] == '@') peer.sun_path[0] = '\0';
  const socklen_t length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address.size());
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const timeval patience = {.tv_sec = 5};
  if (fd >= 0) setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
  if (fd < 0 || connect(fd, reinterpret_cast<const sockaddr*>(&peer), length) != 0) {
    LOG(WARNING) << "cannot reach the service manager at " << address << ": " << std::strerror(errno);
    if (fd >= 0) close(fd);
    return -1;
  }
  return fd;
}

// One line.
std::string StatusField(std::string_view status) {
  return absl::StrCat("STATUS=", absl::StrReplaceAll(status, {{"\n", " "}}));
}

}  // namespace

ServiceManager ServiceManager::FromEnvironment() {
  ServiceManager result;
  if (const char* address = std::getenv("NOTIFY_SOCKET"); address != nullptr && *address != '\0') {
    result.fd_ = Connect(address);
  }
  unsetenv("NOTIFY_SOCKET");
  uint64_t microseconds = 0;
  if (sd_watchdog_enabled(/*unset_environment=*/1, &microseconds) > 0 && result.fd_ >= 0) {
    result.watchdog_ = absl::Microseconds(microseconds);
  }
  return result;
}

ServiceManager::ServiceManager(ServiceManager&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), watchdog_(other.watchdog_) {}

ServiceManager::~ServiceManager() {
  if (fd_ >= 0) close(fd_);
}

void ServiceManager::Send(std::string_view message) {
  if (fd_ < 0) return;
  ssize_t sent;
  do {
    sent = send(fd_, message.data(), message.size(), MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) LOG(WARNING) << "the service manager did not take '" << message << "': " << std::strerror(errno);
}

void ServiceManager::Ready(std::string_view status) { Send(absl::StrCat("READY=1\n", StatusField(status))); }

void ServiceManager::Status(std::string_view status) { Send(StatusField(status)); }

void ServiceManager::Reloading() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  Send(absl::StrCat("RELOADING=1\nMONOTONIC_USEC=", absl::ToInt64Microseconds(absl::DurationFromTimespec(now))));
}

void ServiceManager::Stopping(std::string_view status) { Send(absl::StrCat("STOPPING=1\n", StatusField(status))); }

void ServiceManager::ExtendTimeout(absl::Duration time) {
  Send(absl::StrCat("EXTEND_TIMEOUT_USEC=", absl::ToInt64Microseconds(time)));
}

void ServiceManager::FeedWatchdog() { Send("WATCHDOG=1"); }

absl::StatusOr<std::vector<int>> InheritedSockets() {
  int count = sd_listen_fds(/*unset_environment=*/1);
  if (count < 0) return absl::ErrnoToStatus(-count, "cannot take over the sockets of the service manager");
  std::vector<int> sockets;
  for (int fd = SD_LISTEN_FDS_START; fd < SD_LISTEN_FDS_START + count; ++fd) {
    if (sd_is_socket_unix(fd, SOCK_STREAM, /*listening=*/1, nullptr, 0) <= 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("file descriptor ", fd,
                       " of the service manager is no listening unix stream socket; others it cannot hand over: "
                       "listen on TCP by `listen` in the configuration"));
    }
    sockets.push_back(fd);
  }
  return sockets;
}

}  // namespace interpd::daemon
