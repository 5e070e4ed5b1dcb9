// Waiting in hosted code: detached, and ended at once by an interrupt of the interpreter or a deadline.
//
// Who includes this: host_*.cc, for the blocking operations of channels.
#ifndef INTERPD_INTERP_HOST_WAIT_H_
#define INTERPD_INTERP_HOST_WAIT_H_

#include "absl/time/time.h"
#include "channels/channel.h"
#include "interp/blocking_calls.h"
#include "interp/host_state.h"
#include "interp/subinterpreter.h"

namespace interpd::interp {

// Whether the interpreter has no other thread state than the current one, which therefore nobody waits for. An answer
// that is older than the thread which makes another state false. Requires: attached.
inline bool IsOnlyThread() {
  PyThreadState* current = PyThreadState_GetUnchecked();
  return PyInterpreterState_ThreadHead(current->interp) == current && PyThreadState_Next(current) == nullptr;
}

// Runs `operation(wait)` detached, again while interrupts come that raise nothing. Returns its outcome; kInterrupted
// with a Python exception set.
template <typename Operation>
channels::Outcome WaitDetached(HostState& state, absl::Duration timeout, Operation&& operation) {
  channels::Interrupt& interrupt = state.link->interrupt();
  channels::Wait wait{.deadline = channels::Deadline::After(timeout), .interrupt = &interrupt};
  while (true) {
    // The ticket first: what is raised after this look ends the wait.
    wait.ticket = interrupt.ticket();
    if (CheckInterrupts() < 0) return channels::Outcome::kInterrupted;
    channels::Outcome outcome;
    {
      ScopedDetach detached;
      outcome = operation(wait);
    }
    if (outcome != channels::Outcome::kInterrupted) return outcome;
  }
}

}  // namespace interpd::interp

#endif  // INTERPD_INTERP_HOST_WAIT_H_
