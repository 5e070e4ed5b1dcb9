// Watchdog: feeds the service manager's watchdog, for as long as calls come back.
//
// Who includes this: the life cycle, whose main thread calls it: so a wedged main thread feeds nothing either.
#ifndef INTERPD_DAEMON_WATCHDOG_H_
#define INTERPD_DAEMON_WATCHDOG_H_

#include <atomic>
#include <functional>
#include <memory>

#include "absl/time/time.h"
#include "daemon/server.h"
#include "daemon/service_manager.h"

namespace interpd::daemon {

class Watchdog {
 public:
  // `wake` makes somebody call Step soon; it is called in the event loop. Both references must outlive the last trip.
  Watchdog(ServiceManager& manager, Server& server, std::function<void()> wake);

  // Feeds if a trip has come back, and begins the next one when it is due. Returns when to call it next at the latest;
  // both times are MonotonicNow's.
  absl::Time Step(absl::Time now);

 private:
  struct Trip {
    std::atomic<bool> back{false};
  };

  ServiceManager& manager_;
  Server& server_;
  const std::function<void()> wake_;
  const absl::Duration period_;
  absl::Time due_ = absl::InfinitePast();
  std::shared_ptr<Trip> trip_;  // under way
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_WATCHDOG_H_
