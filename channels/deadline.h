// Deadline: a moment until which to wait, on the monotonic clock: nobody who sets the clock of the machine makes a wait
// longer or shorter.
//
// Who includes this: whatever waits with a limit.
#ifndef INTERPD_CHANNELS_DEADLINE_H_
#define INTERPD_CHANNELS_DEADLINE_H_

#include <time.h>

#include <algorithm>
#include <cstdint>
#include <limits>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace interpd::channels {

class Deadline {
 public:
  static Deadline Infinite() { return Deadline(); }
  static Deadline After(absl::Duration duration) {
    Deadline deadline;
    // No time, or less than none, is now.
    duration = std::max(duration, absl::ZeroDuration());
    if (duration < kLongest) deadline.nanoseconds_ = Now() + absl::ToInt64Nanoseconds(duration);
    return deadline;
  }

  Deadline() = default;
  // A moment of the machine's clock, turned into one of the monotonic clock here and now.
  Deadline(absl::Time time) {  // NOLINT(google-explicit-constructor): callers that keep absl::Time need no other call
    if (time != absl::InfiniteFuture()) *this = After(time - absl::Now());
  }

  bool infinite() const { return nanoseconds_ == kInfinite; }
  bool Passed() const { return !infinite() && nanoseconds_ <= Now(); }
  absl::Duration Left() const {
    return infinite() ? absl::InfiniteDuration()
                      : std::max(absl::Nanoseconds(nanoseconds_ - Now()), absl::ZeroDuration());
  }

  // For system calls that take a moment of CLOCK_MONOTONIC. Requires: !infinite().
  timespec ToTimespec() const {
    const int64_t since_boot = std::max<int64_t>(nanoseconds_, 0);
    return {.tv_sec = since_boot / 1'000'000'000, .tv_nsec = since_boot % 1'000'000'000};
  }

 private:
  static constexpr int64_t kInfinite = std::numeric_limits<int64_t>::max();
  // What is further off than this never comes; so nothing overflows.
  static constexpr absl::Duration kLongest = absl::Hours(24 * 365 * 100);

  static int64_t Now() {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1'000'000'000 + now.tv_nsec;
  }

  int64_t nanoseconds_ = kInfinite;
};

}  // namespace interpd::channels

#endif  // INTERPD_CHANNELS_DEADLINE_H_
