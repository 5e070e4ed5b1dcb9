// Connections: the unix connections that were handed to gRPC, by the one thing that an RPC can tell of its own: the
// number of its file descriptor, in ServerContext::peer() as "fd:N".
//
// Who includes this: the unix listener, which adds them, and the server, whose RPCs ask for their principal.
//
// gRPC closes the descriptor and tells nobody. If its number were used again at once, an RPC of the old connection that
// gRPC has completed, and nobody has handled yet, would be taken for one of the new connection: for another user's.
// Invariants:
//   1. A number belongs to one connection, from Add until kQuarantine after it was found closed. No other connection is
//      given it meanwhile, and Find tells of that one only.
//   2. Numbers come from a range of their own, in turn, so that a number rests for as long as there are others.
//   3. An RPC is handled sooner than kQuarantine after its connection was closed: the event loop never blocks. This
//      with 1 is why Find never tells of a wrong one.
// Closed connections are looked for when others are added, and at most twice in a second; nothing runs on a clock.
//
// Thread safety: Find, Renew and count may be called from any thread; Add from one, the listener's.
#ifndef INTERPD_DAEMON_CONNECTIONS_H_
#define INTERPD_DAEMON_CONNECTIONS_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "daemon/monotonic_time.h"
#include "daemon/peer_credentials.h"
#include "daemon/principal.h"

namespace interpd::daemon {

struct ConnectionLimits {
  int64_t total = 8192;
  int64_t per_user = 6144;
};

class Connections {
 public:
  static constexpr absl::Duration kQuarantine = absl::Seconds(5);
  static constexpr absl::Duration kBetweenSweeps = absl::Milliseconds(500);

  // Numbers of connections: at least `first`, below `end`.
  struct Range {
    int first;
    int end;
  };
  // The upper half of what this process may open, 65,536 of them at most.
  static Range DefaultRange();

  // `now` is for tests.
  explicit Connections(ConnectionLimits limits, Range range = DefaultRange(), absl::Time (*now)() = MonotonicNow)
      : limits_(limits), range_(range), now_(now), next_(range.first) {}

  // Gives the socket a number of its own and closes `fd`, in any case. The number is gRPC's to close. Errors:
  // RESOURCE_EXHAUSTED, over a limit; UNAVAILABLE: there is no number just now, but there will be.
  absl::StatusOr<int> Add(int fd, PeerCredentials peer, PrincipalRef principal);

  // Asks anew on whose behalf each is, after a change of who may do what. Find goes on meanwhile.
  void Renew(absl::FunctionRef<PrincipalRef(const PeerCredentials&)> principal_of);

  // Of a connection with that peer(); none: it is no connection of ours.
  PrincipalRef Find(std::string_view peer) const;

  // Those that were not found closed, at the last look.
  int64_t count() const;

 private:
  struct Connection {
    PrincipalRef principal;  // null: it may not be any longer
    PeerCredentials peer;
    ino_t socket;  // what the number is, as long as the connection is open
    absl::Time closed = absl::InfiniteFuture();
  };

  absl::Status CheckLimits(uid_t uid) const;
  // Looks for connections that gRPC has closed, and lets go of numbers that have rested.
  void Sweep();

  const ConnectionLimits limits_;
  const Range range_;
  absl::Time (*const now_)();

  // The listener's alone.
  int next_;  // where the search for a number begins
  absl::Time last_sweep_ = absl::InfinitePast();

  absl::Mutex renewing_;  // one after the other, so that what the last one says stays; taken before mutex_
  mutable absl::Mutex mutex_;
  // Written by the listener's thread only, which therefore reads without the lock; but for the principals, which the
  // lock guards.
  absl::flat_hash_map<int, Connection> connections_;
  absl::flat_hash_map<uid_t, int64_t> of_users_;
  int64_t open_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_CONNECTIONS_H_
