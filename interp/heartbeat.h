// Heartbeat: a hidden interpreter that runs a trivial call whenever it is asked to.
//
// Who includes this: interpreter_registry. A beat goes the way of every call: queue, interpreter's thread, GIL, Python,
// output pump and back. So where beats do not come back, calls do not either.
//
// Thread safety: every method may be called from any thread that belongs to no interpreter; one beat at a time.
#ifndef INTERPD_INTERP_HEARTBEAT_H_
#define INTERPD_INTERP_HEARTBEAT_H_

#include <functional>
#include <memory>
#include <mutex>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "interp/interpreter_worker.h"

namespace interpd::interp {

class Heartbeat {
 public:
  // `ended` as InterpreterWorker::Observer::ended. `host` must outlive it.
  Heartbeat(HostServices* host, std::function<void(State)> ended);

  // Makes the interpreter if there is none, and has it run something. `done` is called once, under the rules of
  // Work::Done: OK, or why nothing ran. Requires: the last beat is done.
  void Beat(absl::AnyInvocable<void(absl::Status) &&> done);

  // Makes no interpreter any more. The one that there is, if any, is the caller's to close.
  std::shared_ptr<InterpreterWorker> End();

 private:
  // The interpreter, made and started, or why it cannot be.
  absl::StatusOr<std::shared_ptr<InterpreterWorker>> Worker();

  HostServices* const host_;
  const std::function<void(State)> ended_;
  std::mutex mu_;
  std::shared_ptr<InterpreterWorker> worker_;  // guarded by mu_
  bool over_ = false;                          // guarded by mu_
};

}  // namespace interpd::interp

#endif  // INTERPD_INTERP_HEARTBEAT_H_
