#include "client/cli/restarts.h"

#include <algorithm>

#include "absl/time/clock.h"
#include "client/client.h"

namespace interpd::client {
namespace {

constexpr absl::Duration kPatience = absl::Minutes(1);
// How soon Ctrl-C is seen meanwhile, and how often a daemon is asked that drains and still answers.
constexpr absl::Duration kLook = absl::Milliseconds(100);

}  // namespace

absl::Status AcrossRestarts(Session& session, Client& client,
                            absl::FunctionRef<absl::Status(const RpcOptions& options)> attempt) {
  RpcOptions options = session.rpc();
  const absl::Time deadline = absl::Now() + options.timeout;
  for (;;) {
    absl::Status status = attempt(options);
    if (!absl::IsUnavailable(status)) return status;
    session.Err("interpctl: the daemon went away; waiting for it to come back\n");
    const absl::Time until = std::min(deadline, absl::Now() + kPatience);
    absl::SleepFor(std::min(kLook, until - absl::Now()));
    while (!client.WaitUntilConnected(std::min(until, absl::Now() + kLook))) {
      if (session.interrupts().exit_code() != 0 || session.output_closed()) return absl::CancelledError("interrupted");
      if (absl::Now() < until) continue;
      return until == deadline ? absl::DeadlineExceededError("the time has passed, and the daemon is not back")
                               : status;
    }
    options.timeout = deadline - absl::Now();
  }
}

}  // namespace interpd::client
