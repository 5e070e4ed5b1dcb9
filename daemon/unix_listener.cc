#include "daemon/unix_listener.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/log/check.h"
#include "absl/log/log.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace interpd::daemon {
namespace {

// How long nothing is accepted after there was no file descriptor or memory for it.
constexpr int kBreathMilliseconds = 100;

constexpr absl::Duration kBetweenLogs = absl::Seconds(1);

}  // namespace

UnixListener::UnixListener(std::vector<Socket> sockets, Access& access, Connections& connections,
                           absl::AnyInvocable<void(int fd)> serve)
    : sockets_(std::move(sockets)),
      access_(access),
      connections_(connections),
      serve_(std::move(serve)),
      epoll_(epoll_create1(EPOLL_CLOEXEC)),
      stop_(eventfd(0, EFD_CLOEXEC)) {
  CHECK(epoll_ >= 0 && stop_ >= 0) << std::strerror(errno);
  epoll_event event = {.events = EPOLLIN, .data = {.ptr = nullptr}};
  CHECK_EQ(epoll_ctl(epoll_, EPOLL_CTL_ADD, stop_, &event), 0);
  for (const Socket& socket : sockets_) {
    event.data.ptr = const_cast<Socket*>(&socket);
    CHECK_EQ(epoll_ctl(epoll_, EPOLL_CTL_ADD, socket.fd, &event), 0) << socket.address;
  }
  thread_ = std::thread([this] { Accept(); });
  pthread_setname_np(thread_.native_handle(), "interpd-accept");
}

UnixListener::~UnixListener() {
  const uint64_t one = 1;
  CHECK_EQ(write(stop_, &one, sizeof(one)), static_cast<ssize_t>(sizeof(one)));
  thread_.join();
  for (const Socket& socket : sockets_) close(socket.fd);
  close(stop_);
  close(epoll_);
}

void UnixListener::Accept() {
  bool listening = true;
  for (;;) {
    epoll_event events[16];
    int count = epoll_wait(epoll_, events, 16, listening ? -1 : kBreathMilliseconds);
    if (count < 0) CHECK_EQ(errno, EINTR);
    if (!std::exchange(listening, true)) SetListening(true);
    for (int i = 0; i < count; ++i) {
      const auto* socket = static_cast<const Socket*>(events[i].data.ptr);
      if (socket == nullptr) return;
      if (!AcceptOne(*socket)) listening = false;
    }
    if (!listening) SetListening(false);
  }
}

bool UnixListener::AcceptOne(const Socket& socket) {
  int fd = accept4(socket.fd, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) {
    if (errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM) return true;  // it has gone again
    LogRefused(socket.address, std::strerror(errno));
    return false;
  }
  absl::StatusOr<PeerCredentials> peer = ReadPeerCredentials(fd);
  const uint64_t policy = access_.generation();
  PrincipalRef principal = peer.ok() ? access_.OfUnixPeer(*peer) : nullptr;
  if (principal == nullptr) {
    close(fd);
    LogRefused(peer.ok() ? absl::StrCat("user ", peer->uid, " on ", socket.address) : socket.address,
               peer.ok() ? "who may not connect" : peer.status().message());
    return true;
  }
  absl::StatusOr<int> number = connections_.Add(fd, *peer, std::move(principal));
  if (number.ok()) {
    // Who has changed the rules meanwhile has not seen this connection.
    if (access_.generation() != policy) {
      connections_.Renew([this](const PeerCredentials& of) { return access_.OfUnixPeer(of); });
    }
    serve_(*number);
  } else {
    LogRefused(absl::StrCat("user ", peer->uid, " on ", socket.address), number.status().message());
  }
  return true;
}

void UnixListener::SetListening(bool listening) {
  for (const Socket& socket : sockets_) {
    epoll_event event = {.events = listening ? uint32_t{EPOLLIN} : 0u, .data = {.ptr = const_cast<Socket*>(&socket)}};
    CHECK_EQ(epoll_ctl(epoll_, EPOLL_CTL_MOD, socket.fd, &event), 0);
  }
}

void UnixListener::LogRefused(std::string_view who, std::string_view why) {
  const absl::Time now = absl::Now();
  if (now < last_logged_ + kBetweenLogs) {
    ++not_logged_;
    return;
  }
  last_logged_ = now;
  std::string others = not_logged_ == 0 ? "" : absl::StrCat(" (and ", std::exchange(not_logged_, 0), " more)");
  LOG(WARNING) << "refused a connection: " << who << ": " << why << others;
}

}  // namespace interpd::daemon
