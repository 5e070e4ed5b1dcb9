// MetricsExposer: gives what is counted to Prometheus, over HTTP on an address of its own.
//
// Who includes this: main.cc. It has threads of its own; a scrape collects in the event loop, for as long as that
// takes.
#ifndef INTERPD_DAEMON_METRICS_EXPOSER_H_
#define INTERPD_DAEMON_METRICS_EXPOSER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "daemon/server.h"

namespace interpd::daemon {

class MetricsExposer {
 public:
  // `address`: HOST:PORT, port 0: any. Listens, and has nothing to tell yet. Errors: FAILED_PRECONDITION, when the
  // address cannot be listened on.
  static absl::StatusOr<std::unique_ptr<MetricsExposer>> Listen(const std::string& address);

  virtual ~MetricsExposer() = default;

  // From now on it tells of this server, which must outlive it. Once.
  virtual void Expose(Server& server) = 0;

  // With the port that was chosen.
  virtual std::string address() const = 0;
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_METRICS_EXPOSER_H_
