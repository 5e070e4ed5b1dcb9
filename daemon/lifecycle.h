// Lifecycle: from "ready" to the end of the process: signals, draining, the service manager, giving memory back.
//
// Who includes this: main.cc.
//
// Signals are caught by handlers, not blocked: a blocked signal would stay blocked in every process that hosted code
// starts. A handler may run on an interpreter's thread, so it only notes the signal in memory and posts a semaphore;
// the main thread, inside Run, does the rest.
#ifndef INTERPD_DAEMON_LIFECYCLE_H_
#define INTERPD_DAEMON_LIFECYCLE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "daemon/server.h"
#include "daemon/service_manager.h"
#include "daemon/watchdog.h"
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

  // Whether the process is to end, by a signal or RequestDrain; for a start that takes long. Thread safety: any thread.
  bool IsDrainAsked() { return DrainAskedFor(absl::ZeroDuration()).has_value(); }

  // An interpreter was closed: its memory goes back soon. Thread safety: any thread.
  void InterpreterClosed();

  struct Options {
    const absl::Duration* grace;  // what runs may go on for so long when a signal drains; a reload may change it
    // SIGHUP: reads the configuration anew. Called on the main thread. An error: what is as it was, and why.
    std::function<absl::Status()> reload;
    // A line that was asked for, and is told at any level of the log. Called on the main thread.
    std::function<void(std::string_view line)> say;
    // More for the status line, such as ", 3 jobs"; may be null. Called on the main thread.
    std::function<std::string()> more_status;
  };

  // Serves until a signal or RequestDrain ends it: SIGTERM and the first SIGINT drain with `grace`; the second SIGINT
  // ends at once; SIGHUP reloads; SIGUSR1 logs every interpreter's state and stacks. Tells the service manager of all
  // that, and feeds its watchdog. On the main thread. Returns whether every interpreter has ended and the server is
  // shut down: if not, leave by _exit.
  bool Run(interp::InterpreterRegistry& registry, Server& server, ServiceManager& manager, Options options);

 private:
  // Closes all and waits. Whether all have ended in time.
  bool Drain(interp::InterpreterRegistry& registry, Server& server, ServiceManager& manager, absl::Duration grace);
  void DumpStacks(interp::InterpreterRegistry& registry);
  void LogDumps();
  void TrimIfDue();
  void Reload(ServiceManager& manager, const Options& options, const std::string& status);

  // Waits for something to happen, for the time to trim memory, or until then; all times here are MonotonicNow's.
  void Wait(absl::Time until);
  // How long running work may go on if a drain has been asked for.
  std::optional<absl::Duration> DrainAskedFor(absl::Duration grace);

  std::function<void(std::string_view line)> say_;

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
