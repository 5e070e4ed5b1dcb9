// The Jobs service; its RPCs have files of their own.
#ifndef INTERPD_DAEMON_JOBS_SERVICE_H_
#define INTERPD_DAEMON_JOBS_SERVICE_H_

#include "daemon/raw_services.h"
#include "daemon/server_state.h"

namespace interpd::daemon {

class JobsService {
 public:
  explicit JobsService(ServerState& state) : state_(state) {}

  grpc::Service* service() { return &raw_; }

  // Waits for calls of every method. In the event loop, once the server has been started.
  void Listen();

 private:
  ServerState& state_;
  RawJobs raw_;
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_JOBS_SERVICE_H_
