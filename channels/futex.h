// A futex wait and wake on a 32-bit atomic word of this process. Linux, futex(2).
//
// Who includes this: event_count.h, and what must wake exactly one known thread.
#ifndef INTERPD_CHANNELS_FUTEX_H_
#define INTERPD_CHANNELS_FUTEX_H_

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdint>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace interpd::channels {

// Sleeps while *word == expected, until woken, a signal or the deadline (monotonic in effect: it is taken as a
// duration from now). Returns false only when the deadline has passed. Spurious returns happen.
inline bool FutexWait(const std::atomic<uint32_t>* word, uint32_t expected,
                      absl::Time deadline = absl::InfiniteFuture()) {
  static_assert(sizeof(std::atomic<uint32_t>) == sizeof(uint32_t));
  timespec timeout;
  timespec* timeout_or_null = nullptr;
  if (deadline != absl::InfiniteFuture()) {
    absl::Duration left = deadline - absl::Now();
    if (left <= absl::ZeroDuration()) return false;
    timeout = absl::ToTimespec(left);
    timeout_or_null = &timeout;
  }
  long result = syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, timeout_or_null, nullptr, 0);
  return !(result == -1 && errno == ETIMEDOUT);
}

inline void FutexWake(std::atomic<uint32_t>* word, int waiters = INT_MAX) {
  syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, waiters, nullptr, nullptr, 0);
}

}  // namespace interpd::channels

#endif  // INTERPD_CHANNELS_FUTEX_H_
