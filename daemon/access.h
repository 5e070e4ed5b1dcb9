// Access: who a client is, and so what it may.
//
// Who includes this: the unix listener, which asks once for each connection, and the server. Thread safety: all
// methods, any thread.
#ifndef INTERPD_DAEMON_ACCESS_H_
#define INTERPD_DAEMON_ACCESS_H_

#include <sys/types.h>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "daemon/peer_credentials.h"
#include "daemon/principal.h"

namespace interpd::daemon {

// Without any configuration: this process's own user and root are admins, and nobody else may connect.
class Access {
 public:
  Access();

  // None: refused. May read files: not for the event loop.
  PrincipalRef OfUnixPeer(const PeerCredentials& peer);

  // A client over TCP that has shown nothing that says who it is.
  const PrincipalRef& anonymous() const { return anonymous_; }

 private:
  const uid_t own_uid_;
  const PrincipalRef anonymous_;
  absl::Mutex mutex_;
  absl::flat_hash_map<uid_t, PrincipalRef> of_users_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_ACCESS_H_
