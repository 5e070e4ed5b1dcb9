// The Constants service: Get and List; what takes longer has files of its own.
#ifndef INTERPD_DAEMON_CONSTANTS_SERVICE_H_
#define INTERPD_DAEMON_CONSTANTS_SERVICE_H_

#include "daemon/raw_services.h"
#include "daemon/server_state.h"

namespace interpd::daemon {

class ConstantsService {
 public:
  explicit ConstantsService(ServerState& state) : state_(state) {}

  grpc::Service* service() { return &raw_; }

  // Waits for calls of every method. In the event loop, once the server has been started.
  void Listen();

 private:
  ServerState& state_;
  RawConstants raw_;
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_CONSTANTS_SERVICE_H_
