// What looks on while a daemon works for long outlives the daemon: jobs go on once it is started again.
//
// Who includes this: the commands that wait for jobs.
#ifndef INTERPD_CLIENT_CLI_RESTARTS_H_
#define INTERPD_CLIENT_CLI_RESTARTS_H_

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "client/cli/session.h"

namespace interpd::client {

// Calls `attempt` until it succeeds, or fails for another reason than that the daemon went away. In between waits for a
// daemon to come back, at most a minute at a time, and says so. The options hold what is left of --timeout.
absl::Status AcrossRestarts(Session& session, Client& client,
                            absl::FunctionRef<absl::Status(const RpcOptions& options)> attempt);

}  // namespace interpd::client

#endif  // INTERPD_CLIENT_CLI_RESTARTS_H_
