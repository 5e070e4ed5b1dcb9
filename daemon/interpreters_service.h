// The Interpreters service: Create, Get, List, Interrupt and Close; Exec, Call, CallStream and Logs have files of
// their own.
#ifndef INTERPD_DAEMON_INTERPRETERS_SERVICE_H_
#define INTERPD_DAEMON_INTERPRETERS_SERVICE_H_

#include "daemon/create_requests.h"
#include "daemon/raw_services.h"
#include "daemon/server_state.h"

namespace interpd::daemon {

class InterpretersService {
 public:
  explicit InterpretersService(ServerState& state) : state_(state) {}

  grpc::Service* service() { return &raw_; }

  // Waits for calls of every method. In the event loop, once the server has been started.
  void Listen();

 private:
  ServerState& state_;
  RawInterpreters raw_;
  CreateRequests<v1::Interpreter> create_requests_;
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_INTERPRETERS_SERVICE_H_
