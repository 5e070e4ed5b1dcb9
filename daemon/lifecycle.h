// Lifecycle: from "ready" to the end of the process: signals, draining, giving memory back.
//
// Who includes this: main.cc.
//
// Signals are caught by handlers, not blocked: a blocked signal would stay blocked in every process that hosted code
// starts. A handler may run on an interpreter's thread, so it only notes the signal in memory and posts a semaphore;
// the main thread, inside Run, does the rest.
#ifndef INTERPD_DAEMON_LIFECYCLE_H_
#define INTERPD_DAEMON_LIFECYCLE_H_

#include <cstdint>
#include <memory>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "daemon/server.h"
#include "interp/interpreter_registry.h"

namespace interpd::daemon {

// One a process.
class Lifecycle {
 public:
  // Takes SIGTERM, SIGINT, SIGHUP and SIGUSR1 from now on, and ignores SIGPIPE. First thing in the process.
  Lifecycle();
  Lifecycle(const Lifecycle&) = delete;
  Lifecycle& operator=(const Lifecycle&) = delete;

  // Asks Run to drain; none: with the daemon's own grace period. Again: only a shorter period counts.
  // Thread safety: any thread.
  void RequestDrain(std::optional<absl::Duration> grace);

  // An interpreter was closed: its memory goes back soon. Thread safety: any thread.
  void InterpreterClosed();

  // Serves until a signal or RequestDrain ends it: SIGTERM, SIGHUP and the first SIGINT drain with `grace`; the second
  // SIGINT ends at once; SIGUSR1 logs every interpreter's state and stacks. On the main thread. Returns whether every
  // interpreter has ended and the server is shut down: if not, leave by _exit.
  bool Run(interp::InterpreterRegistry& registry, Server& server, absl::Duration grace);

 private:
  // Closes all and waits. Whether all have ended in time.
  bool Drain(interp::InterpreterRegistry& registry, Server& server, absl::Duration grace);
  void DumpStacks(interp::InterpreterRegistry& registry);
  void LogDumps();
  void TrimIfDue();

  // Waits for something to happen, or for the time to trim memory.
  void Wait();
  // How long running work may go on if a drain has been asked for.
  std::optional<absl::Duration> DrainAskedFor(absl::Duration grace);

  struct Dumps;
  std::shared_ptr<Dumps> dumps_;  // stacks that interpreters have sent and that are not logged yet

  absl::Mutex mutex_;
  bool drain_asked_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<absl::Duration> asked_grace_ ABSL_GUARDED_BY(mutex_);
  int64_t closed_ ABSL_GUARDED_BY(mutex_) = 0;  // interpreters, since memory was trimmed
  absl::Time last_closed_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_LIFECYCLE_H_
