// A time.sleep that an interrupt can end.
//
// CPython's own runs signal handlers when a signal cuts it short, and outside the main interpreter there are none, so
// it goes on sleeping. This one runs the interpreter's pending calls, through which interrupts arrive.
//
// Who includes this: python_executor.
#ifndef INTERPD_INTERP_INTERRUPTIBLE_SLEEP_H_
#define INTERPD_INTERP_INTERRUPTIBLE_SLEEP_H_

namespace interpd::interp {

// Puts it into the current interpreter's `time` module. Requires an attached thread. Returns false with a Python
// exception set on failure.
bool InstallInterruptibleSleep();

}  // namespace interpd::interp

#endif  // INTERPD_INTERP_INTERRUPTIBLE_SLEEP_H_
