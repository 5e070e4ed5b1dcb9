// Futex<Atom>: sleeping until a word changes, and waking who sleeps on it.
//
// Who includes this: event_count.h, event_word.h and interrupt.h. Futex<std::atomic> is Linux's; tests of all
// interleavings bring one for their own Atom.
//
// A futex word is 64 bits, of which the upper 32 are slept on; the lower 32 are free for a count of who sleeps, which
// may change without waking anyone. Thread safety: all functions, any thread.
#ifndef INTERPD_CHANNELS_FUTEX_H_
#define INTERPD_CHANNELS_FUTEX_H_

#include <atomic>
#include <cstdint>

#include "channels/deadline.h"

namespace interpd::channels {

constexpr uint32_t UpperHalf(uint64_t word) { return static_cast<uint32_t>(word >> 32); }
constexpr uint32_t LowerHalf(uint64_t word) { return static_cast<uint32_t>(word); }
inline constexpr uint64_t kOneUpper = uint64_t{1} << 32;

enum class FutexResult {
  kWoken,    // by a Wake, which has counted this sleeper
  kTimeout,  // the deadline has passed, and no Wake has counted it
  kOther,    // the word was another, or a signal came; no Wake has counted it
};

template <template <typename> class Atom>
struct Futex;

template <>
struct Futex<std::atomic> {
  // Sleeps while the upper half of the word is `expected`, until it is woken, a signal comes or the deadline.
  static FutexResult Wait(const std::atomic<uint64_t>& word, uint32_t expected, const Deadline& deadline);

  // Wakes so many of those who sleep on the word, the longest asleep first. Returns how many.
  static int Wake(std::atomic<uint64_t>* word, int sleepers);
};

}  // namespace interpd::channels

#endif  // INTERPD_CHANNELS_FUTEX_H_
