// Server: the daemon's gRPC server over a registry of interpreters.
//
//   auto server = Server::Start(*registry, channels, {{.address = "unix:/tmp/s"}}, {});
//   ...
//   (*server)->BeginDrain();                         // no new work
//   registry->CloseAll(grace, [&] { closed.Notify(); });
//   closed.WaitForNotification();
//   (*server)->Shutdown();                           // what has ended is delivered, then the server ends
//
// Who includes this: main.cc, and tests and benches that run a server in their own process.
// Thread safety: methods may be called from any thread but an interpreter's, and not from on_drain or
// on_interpreter_closed.
#ifndef INTERPD_DAEMON_SERVER_H_
#define INTERPD_DAEMON_SERVER_H_

#include <grpcpp/security/server_credentials.h>
#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "channels/channel_registry.h"
#include "daemon/metrics_page.h"
#include "daemon/server_state.h"
#include "interp/interpreter_registry.h"

namespace interpd::daemon {

class Server {
 public:
  struct Endpoint {
    std::string address;                                        // unix:PATH, or as gRPC reads it HOST:PORT; port 0: any
    std::shared_ptr<grpc::ServerCredentials> credentials = {};  // of HOST:PORT
    uint32_t mode = 0600;                                       // of unix:PATH
    std::optional<gid_t> group = {};                            // likewise
    // A listening unix socket that there is already, the server's from now on; the address is found out.
    int inherited_fd = -1;
  };

  // `registry` and `channels`, which the registry was given too, must outlive the server. Errors: FAILED_PRECONDITION,
  // when an address cannot be listened on; those of
  // SetAccess.
  static absl::StatusOr<std::unique_ptr<Server>> Start(interp::InterpreterRegistry& registry,
                                                       channels::ChannelRegistry& channels,
                                                       std::vector<Endpoint> endpoints, ServerOptions options);

  // As Shutdown.
  ~Server();

  // One trip through the event loop and an interpreter (heartbeat.h). `done` runs in the event loop. Requires: the last
  // trip has come back; not shut down.
  void Beat(absl::AnyInvocable<void(absl::Status) &&> done);

  // What is counted and measured, at this moment; nothing if that takes longer than anybody should wait. Blocks.
  MetricsPage Metrics();

  // Has `change` change the options while no handler runs. What it may change: max_interpreters, for GetInfo; the
  // interpreters' defaults.
  void Reconfigure(absl::FunctionRef<void(ServerOptions& options)> change);

  // Refuses new work from now on, here and in the registry; health turns NOT_SERVING.
  void BeginDrain();

  // Delivers what has ended, for two seconds at most, cuts off what is left and ends. Requires: no interpreter has
  // work any more (CloseAll has called back, and none is stuck); with a stuck one, the process must leave by _exit
  // right after.
  void Shutdown();

  // Who may do what, from now on; of open connections, too, and of open calls: one that may not be any longer is ended.
  // Errors: as Access::Configure, and nothing changes.
  absl::Status SetAccess(const AccessConfig& config);

  // Where it listens, with the ports that were chosen.
  const std::vector<std::string>& addresses() const;

 private:
  class Impl;
  explicit Server(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_SERVER_H_
