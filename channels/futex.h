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

enum class FutexResult {
  kWoken,    // by a Wake of the last condition's word, which has counted this sleeper
  kTimeout,  // the deadline has passed, and no Wake has counted it
  kOther,    // a condition did not hold, another word was woken, a signal came; no Wake of the last word has counted it
};

template <template <typename> class Atom>
struct Futex;

template <>
struct Futex<std::atomic> {
  // Sleeps while all conditions hold, until one of their words is woken, a signal comes or the deadline.
  // Requires: 1 to kMaxFutexConditions conditions.
  static FutexResult Wait(absl::Span<const FutexCondition<std::atomic>> conditions, const Deadline& deadline);

  // Wakes so many of those who sleep on the word, the longest asleep first. Returns how many.
  static int Wake(std::atomic<uint64_t>* word, int sleepers);
};

}  // namespace interpd::channels

#endif  // INTERPD_CHANNELS_FUTEX_H_
