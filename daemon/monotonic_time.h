// The time that nobody sets, for whatever waits.
//
// Who includes this: what feeds a watchdog, waits or lets something rest. Wall clocks jump, when a machine is resumed
// or somebody sets them; what is told to people is still theirs.
#ifndef INTERPD_DAEMON_MONOTONIC_TIME_H_
#define INTERPD_DAEMON_MONOTONIC_TIME_H_

#include <time.h>

#include "absl/time/time.h"

namespace interpd::daemon {

// CLOCK_MONOTONIC, as if it had begun in 1970: comparable with its own results only.
inline absl::Time MonotonicNow() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return absl::TimeFromTimespec(now);
}

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_MONOTONIC_TIME_H_
