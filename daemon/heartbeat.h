// Heartbeat: one trip through all that a call goes through, to see whether calls still come back.
//
// Who includes this: the server.
//
// A trip begins as an event of gRPC's completion queue, so that the poller has to take it (the stand-in could not); its
// handler has a hidden interpreter run a call, whose end comes back as every call's does; then it goes through the
// engine of jobs, if there is one. A poller, an event loop, a host or an engine that is wedged anywhere on the way does
// not bring it back.
#ifndef INTERPD_DAEMON_HEARTBEAT_H_
#define INTERPD_DAEMON_HEARTBEAT_H_

#include <grpcpp/alarm.h>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "daemon/event_loop.h"
#include "daemon/jobs/job_engine.h"
#include "interp/interpreter_registry.h"

namespace interpd::daemon {

class Heartbeat final : private EventLoop::Tag {
 public:
  // All must outlive it; `jobs` may be null.
  Heartbeat(EventLoop& loop, interp::InterpreterRegistry& registry, JobEngine* jobs)
      : loop_(loop), registry_(registry), jobs_(jobs) {}

  // Begins a trip. `done` runs in the event loop: OK, or why the interpreter ran nothing, which is no sign of a wedge.
  // Requires: the last trip has come back, the server is not shut down. Thread safety: any thread of the daemon's own.
  void Begin(absl::AnyInvocable<void(absl::Status) &&> done);

 private:
  void Complete(bool ok) override;

  EventLoop& loop_;
  interp::InterpreterRegistry& registry_;
  JobEngine* const jobs_;
  grpc::Alarm alarm_;
  absl::AnyInvocable<void(absl::Status) &&> done_;
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_HEARTBEAT_H_
