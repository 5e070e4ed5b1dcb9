// What a server counts and measures of its own: requests, interpreters, channels, constants, the process.
//
// Who includes this: the server, for its metrics page; admin_service, for GetStats.
#ifndef INTERPD_DAEMON_SERVER_METRICS_H_
#define INTERPD_DAEMON_SERVER_METRICS_H_

#include "absl/functional/any_invocable.h"
#include "daemon/metrics_page.h"
#include "daemon/server_state.h"
#include "interpd/v1/admin.pb.h"

namespace interpd::daemon {

// Call it in the event loop, where `done` is called too: at once, or when the engine of jobs has said what it has.
// Takes about a microsecond for each interpreter and channel.
void CollectMetrics(ServerState& state, absl::AnyInvocable<void(MetricsPage page) &&> done);

void EncodeStats(const MetricsPage& page, v1::Stats* stats);

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_SERVER_METRICS_H_
