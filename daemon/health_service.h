// The standard health service (grpc.health.v1): SERVING, and NOT_SERVING once the daemon drains. Our own handlers,
// since those that gRPC brings would add a second completion queue and pollers to the server.
#ifndef INTERPD_DAEMON_HEALTH_SERVICE_H_
#define INTERPD_DAEMON_HEALTH_SERVICE_H_

#include "absl/container/flat_hash_set.h"
#include "daemon/raw_services.h"
#include "daemon/server_state.h"

namespace interpd::daemon {

class WatchRpc;

class HealthService {
 public:
  explicit HealthService(ServerState& state) : state_(state) {}

  grpc::Service* service() { return &raw_; }

  // As InterpretersService::Listen.
  void Listen();

  // ServerState::draining has changed: tells those who watch. In the event loop.
  void Changed();

 private:
  ServerState& state_;
  RawHealth raw_;
  absl::flat_hash_set<WatchRpc*> watchers_;
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_HEALTH_SERVICE_H_
