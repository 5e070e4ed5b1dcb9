// Access: who a client is, and so what it may.
//
// Who includes this: the unix listener, which asks once for each connection, and the server. Thread safety: all
// methods, any thread.
//
// Rules are looked at in their order, the first that fits a client says its role and limits. With no rule that fits:
//   over a unix socket  root and the daemon's own user are admins; others are refused
//   with a certificate  an admin if there are no rules at all, as one that the operator's CA has signed; else refused
//   with a token        what the token file says
// A client over TLS that shows neither is refused. TCP without TLS, on loopback and asked for, is an admin's.
#ifndef INTERPD_DAEMON_ACCESS_H_
#define INTERPD_DAEMON_ACCESS_H_

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "daemon/access_config.h"
#include "daemon/peer_credentials.h"
#include "daemon/principal.h"

namespace interpd::daemon {

// What a client over TCP shows.
struct TcpPeer {
  bool tls = false;
  // Of one that was verified: its subject's common name, which may be empty, then the others.
  std::vector<std::string> certificate_names;
  std::string_view authorization;  // of its metadata
};

class Access {
 public:
  // Without any configuration.
  Access();
  ~Access();

  // Errors: there is no such user or group, the token file is wrong. Then what was before goes on. A token file that is
  // gone is an error the first time only: who takes it away later means its tokens to hold no longer.
  absl::Status Configure(const AccessConfig& config);

  // Grows with each Configure.
  uint64_t generation() const {
    absl::MutexLock lock(mutex_);
    return generation_;
  }

  // None: refused, as is a user whose name cannot be found out just now. The first time for a user it reads files: not
  // for the event loop.
  PrincipalRef OfUnixPeer(const PeerCredentials& peer);

  // None: refused. Until when it holds is put in `expires`, if that is not null.
  PrincipalRef OfTcpPeer(const TcpPeer& peer, absl::Time* expires = nullptr);

 private:
  struct Policy;

  std::shared_ptr<const Policy> policy() const {
    absl::MutexLock lock(mutex_);
    return policy_;
  }
  // Errors: it cannot be found out.
  absl::StatusOr<std::string> NameOfUser(uid_t uid);
  PrincipalRef Remember(std::string_view kind, const std::string& name, Role role, const PrincipalLimits& limits);

  const uid_t own_uid_;
  const PrincipalRef anonymous_;
  mutable absl::Mutex mutex_;
  std::shared_ptr<const Policy> policy_ ABSL_GUARDED_BY(mutex_);
  uint64_t generation_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::flat_hash_map<uid_t, std::string> user_names_ ABSL_GUARDED_BY(mutex_);      // since the last Configure
  absl::flat_hash_map<uid_t, std::string> old_user_names_ ABSL_GUARDED_BY(mutex_);  // before it
  // The last one made of each name: clients of one name share it as long as nothing about it changes.
  absl::flat_hash_map<std::string, PrincipalRef> made_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_ACCESS_H_
