#include "daemon/connections.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace interpd::daemon {
namespace {

constexpr int kMostNumbers = 65'536;

// 0: it is closed. Inodes of sockets are never 0.
ino_t SocketOf(int fd) {
  struct stat there;
  return fstat(fd, &there) == 0 ? there.st_ino : 0;
}

}  // namespace

Connections::Range Connections::DefaultRange() {
  rlimit files;
  int limit = 1024;
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    limit = static_cast<int>(std::min<rlim_t>(files.rlim_cur, 2 * kMostNumbers));
  }
  return {limit / 2, limit};
}

absl::Status Connections::CheckLimits(uid_t uid) const {
  {
    absl::MutexLock lock(mutex_);
    if (open_ >= limits_.total) {
      return absl::ResourceExhaustedError(absl::StrCat("there are ", open_, " connections"));
    }
  }
  auto of_user = of_users_.find(uid);
  if (of_user != of_users_.end() && of_user->second >= limits_.per_user) {
    return absl::ResourceExhaustedError(absl::StrCat("user ", uid, " has ", of_user->second, " connections"));
  }
  return absl::OkStatus();
}

absl::StatusOr<int> Connections::Add(int fd, PeerCredentials peer, PrincipalRef principal) {
  const uid_t uid = peer.uid;
  if (now_() >= last_sweep_ + kBetweenSweeps) Sweep();
  absl::Status allowed = CheckLimits(uid);
  // The limits are those of a while ago otherwise.
  int number = -1;
  if (allowed.ok()) {
    // Twice through the range at most: from next_ to its end, and from its beginning.
    bool wrapped = false;
    for (;;) {
      while (next_ < range_.end && connections_.contains(next_)) ++next_;
      number = next_ < range_.end ? fcntl(fd, F_DUPFD_CLOEXEC, next_) : -1;
      if (number >= range_.end) {
        close(number);
        number = -1;
      }
      if (number >= 0 && connections_.contains(number)) {  // it rests; others have taken the numbers before it
        close(number);
        next_ = number + 1;
        number = -1;
        continue;
      }
      if (number >= 0 || wrapped) break;
      wrapped = true;
      next_ = range_.first;
    }
    if (number < 0) allowed = absl::UnavailableError("all numbers of file descriptors are taken, or rest");
  }
  close(fd);
  if (!allowed.ok()) return allowed;
  next_ = number + 1;
  const ino_t socket = SocketOf(number);
  absl::MutexLock lock(mutex_);
  connections_.emplace(number,
                       Connection{.principal = std::move(principal), .peer = std::move(peer), .socket = socket});
  ++of_users_[uid];
  ++open_;
  return number;
}

void Connections::Sweep() {
  const absl::Time now = now_();
  last_sweep_ = now;
  std::vector<int> closed, rested;
  for (const auto& [number, connection] : connections_) {
    if (connection.closed != absl::InfiniteFuture()) {
      if (now >= connection.closed + kQuarantine) rested.push_back(number);
    } else if (SocketOf(number) != connection.socket) {
      closed.push_back(number);
    }
  }
  absl::MutexLock lock(mutex_);
  for (int number : closed) {
    Connection& connection = connections_.at(number);
    connection.closed = now;
    --open_;
    auto of_user = of_users_.find(connection.peer.uid);
    if (--of_user->second == 0) of_users_.erase(of_user);
  }
  for (int number : rested) connections_.erase(number);
}

void Connections::Renew(absl::FunctionRef<PrincipalRef(const PeerCredentials&)> principal_of) {
  struct One {
    int number;
    ino_t socket;
    PeerCredentials peer;
    PrincipalRef principal;
  };
  absl::MutexLock renewing(renewing_);
  std::vector<One> all;
  {
    absl::MutexLock lock(mutex_);
    for (const auto& [number, connection] : connections_)
      all.push_back({number, connection.socket, connection.peer, {}});
  }
  // Without the lock: it may read files, and the event loop is not to wait for them.
  for (One& one : all) one.principal = principal_of(one.peer);
  absl::MutexLock lock(mutex_);
  for (One& one : all) {
    auto found = connections_.find(one.number);
    if (found != connections_.end() && found->second.socket == one.socket) {
      found->second.principal = std::move(one.principal);
    }
  }
}

PrincipalRef Connections::Find(std::string_view peer) const {
  int number;
  if (!absl::ConsumePrefix(&peer, "fd:") || !absl::SimpleAtoi(peer, &number)) return nullptr;
  absl::MutexLock lock(mutex_);
  auto found = connections_.find(number);
  return found == connections_.end() ? nullptr : found->second.principal;
}

int64_t Connections::count() const {
  absl::MutexLock lock(mutex_);
  return open_;
}

}  // namespace interpd::daemon
