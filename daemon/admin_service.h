// The Admin service: GetInfo and Drain.
#ifndef INTERPD_DAEMON_ADMIN_SERVICE_H_
#define INTERPD_DAEMON_ADMIN_SERVICE_H_

#include "daemon/raw_services.h"
#include "daemon/server_state.h"

namespace interpd::daemon {

class AdminService {
 public:
  explicit AdminService(ServerState& state) : state_(state) {}

  grpc::Service* service() { return &raw_; }

  // As InterpretersService::Listen.
  void Listen();

 private:
  ServerState& state_;
  RawAdmin raw_;
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_ADMIN_SERVICE_H_
