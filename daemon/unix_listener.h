// UnixListener: accepts unix connections, looks who has connected, and hands those that may to gRPC.
//
// gRPC 1.51 tells a server neither who is at the other end of a unix connection nor takes a listening socket from
// outside; it does take connections. So these are accepted here (ADR 15).
//
// Who includes this: the server. Thread safety: it has a thread of its own, which `serve` is called on.
#ifndef INTERPD_DAEMON_UNIX_LISTENER_H_
#define INTERPD_DAEMON_UNIX_LISTENER_H_

#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "daemon/access.h"
#include "daemon/connections.h"

namespace interpd::daemon {

class UnixListener {
 public:
  struct Socket {
    int fd;               // listening and not blocking; the listener's from now on
    std::string address;  // for messages
  };

  // Begins to accept. `serve` takes over a connection, whose number is in `connections`. `access` and `connections`
  // must outlive the listener.
  UnixListener(std::vector<Socket> sockets, Access& access, Connections& connections,
               absl::AnyInvocable<void(int fd)> serve);
  UnixListener(const UnixListener&) = delete;
  UnixListener& operator=(const UnixListener&) = delete;

  // Accepts no more and closes the sockets; connections go on. `serve` is not called any more.
  ~UnixListener();

 private:
  void Accept();
  // False: this process can take no more just now.
  bool AcceptOne(const Socket& socket);
  void SetListening(bool listening);
  // Says so in the log, but not more often than once in a second.
  void LogRefused(std::string_view who, std::string_view why);

  const std::vector<Socket> sockets_;
  Access& access_;
  Connections& connections_;
  absl::AnyInvocable<void(int fd)> serve_;
  int epoll_;
  int stop_;  // an eventfd
  absl::Time last_logged_ = absl::InfinitePast();
  int64_t not_logged_ = 0;
  std::thread thread_;
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_UNIX_LISTENER_H_
