// Lets interrupts reach hosted code that is blocked in a system call of the standard library.
//
// Who includes this: python_runtime.
//
// CPython's blocking functions (time.sleep, locks, sockets, select, waitpid, ...) return to Python when a signal cuts
// them short and PyErr_CheckSignals or Py_MakePendingCalls says -1. But both look only at the main interpreter's
// affairs: anywhere else they say 0, and the wait goes on. In this process no interpreter has signal handlers, so both
// may do for every interpreter what the main one gets: run its pending calls and raise its asynchronous exceptions.
// libpython binds its calls to them directly, out of the dynamic linker's reach, so their first bytes are replaced by
// a jump (docs/adr/0006-blocking-calls.md: the alternatives, and what it buys).
#ifndef INTERPD_INTERP_BLOCKING_CALLS_H_
#define INTERPD_INTERP_BLOCKING_CALLS_H_

#include "absl/status/status.h"

namespace interpd::interp {

// Runs the pending calls of the thread's own interpreter and raises its asynchronous exceptions: what blocking code
// does when it wakes up. Returns -1 with an exception set when it is to stop waiting, else 0. Costs one load while
// there is nothing. Requires an attached thread.
int CheckInterrupts();

// Call once, while no other thread runs Python. On failure (another architecture, or a system that forbids writable
// code) nothing has changed: interrupts then wait until blocked functions return.
absl::Status MakeBlockingCallsInterruptible();

}  // namespace interpd::interp

#endif  // INTERPD_INTERP_BLOCKING_CALLS_H_
