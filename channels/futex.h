// Futex<Atom>: sleeping until one of several words changes, and waking who sleeps on one.
//
// Who includes this: event_count.h and interrupt.h. Futex<std::atomic> is Linux's; tests of all interleavings bring one
// for their own Atom.
//
// A futex word is 64 bits, of which the upper 32 are slept on; the lower 32 are free for a count of who sleeps, which
// may change without waking anyone. Thread safety: all functions, any thread.
#ifndef INTERPD_CHANNELS_FUTEX_H_
#define INTERPD_CHANNELS_FUTEX_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "channels/deadline.h"

namespace interpd::channels {

constexpr uint32_t UpperHalf(uint64_t word) { return static_cast<uint32_t>(word >> 32); }
constexpr uint32_t LowerHalf(uint64_t word) { return static_cast<uint32_t>(word); }
inline constexpr uint64_t kOneUpper = uint64_t{1} << 32;

// Holds while the upper half of *word is `expected`.
template <template <typename> class Atom>
struct FutexCondition {
  const Atom<uint64_t>* word;
  uint32_t expected;
};

// The kernel's limit for one wait on several words.
inline constexpr size_t kMaxFutexConditions = 128;

template <template <typename> class Atom>
struct Futex;

template <>
struct Futex<std::atomic> {
  // Sleeps while all conditions hold, until one of their words is woken, a signal comes or the deadline. Returns false
  // only when the deadline has passed. Spurious returns happen. Requires: 1 to kMaxFutexConditions conditions.
  static bool Wait(absl::Span<const FutexCondition<std::atomic>> conditions, const Deadline& deadline);

  // Wakes so many of those who sleep on the word, the longest asleep first.
  static void Wake(std::atomic<uint64_t>* word, int sleepers);
};

}  // namespace interpd::channels

#endif  // INTERPD_CHANNELS_FUTEX_H_
