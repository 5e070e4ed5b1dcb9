// The standard reflection service (grpc.reflection.v1alpha), by which tools such as grpcurl learn what this server
// offers. Our own handler, for the same reason as in health_service.h.
#ifndef INTERPD_DAEMON_REFLECTION_SERVICE_H_
#define INTERPD_DAEMON_REFLECTION_SERVICE_H_

#include "daemon/raw_services.h"
#include "daemon/server_state.h"

namespace interpd::daemon {

class ReflectionService {
 public:
  explicit ReflectionService(ServerState& state) : state_(state) {}

  grpc::Service* service() { return &raw_; }

  // As InterpretersService::Listen.
  void Listen();

 private:
  ServerState& state_;
  RawReflection raw_;
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_REFLECTION_SERVICE_H_
