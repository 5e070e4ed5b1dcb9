// Principal: on whose behalf a request comes, and what it may.
//
// Who includes this: what finds out who a client is, and every RPC that asks whose a resource is. A Principal is never
// changed once it is made; any thread may read it.
#ifndef INTERPD_DAEMON_PRINCIPAL_H_
#define INTERPD_DAEMON_PRINCIPAL_H_

#include <memory>
#include <string>

namespace interpd::daemon {

// Each may what those before it may.
enum class Role { kViewer, kUser, kAdmin };

struct Principal {
  std::string name;  // "unix:alice", or "unix:1000" when the system has no name for that user
  Role role = Role::kViewer;
};

using PrincipalRef = std::shared_ptr<const Principal>;

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_PRINCIPAL_H_
