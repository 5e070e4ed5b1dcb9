// The word of an event count, for those who release its waiters.
//
// Who includes this: event_count.h and interrupt.h.
//
// The word is { epoch : 32, waiters : 32 }; event_count.h tells what they mean.
#ifndef INTERPD_CHANNELS_EVENT_WORD_H_
#define INTERPD_CHANNELS_EVENT_WORD_H_

#include <atomic>
#include <cstdint>

#include "channels/adaptive_spin.h"
#include "channels/futex.h"

namespace interpd::channels {

template <template <typename> class Atom>
void UncountWaiters(Atom<uint64_t>& word, uint64_t waiters) {
  // relaxed: who still counts these waiters only makes a needless system call.
  word.fetch_sub(waiters, std::memory_order_relaxed);
}

// Begins a new epoch and wakes so many sleepers. Who has a key of an older epoch and does not sleep yet will not.
template <template <typename> class Atom>
void ReleaseWaiters(Atom<uint64_t>& word, int sleepers) {
  // release: pairs with the acquire in Wait.
  word.fetch_add(kOneUpper, std::memory_order_release);
  const int woken = Futex<Atom>::Wake(&word, sleepers);
  if (woken <= 0) return;
  UncountWaiters(word, static_cast<uint64_t>(woken));
  AdaptiveSpin::Woke();
}

}  // namespace interpd::channels

#endif  // INTERPD_CHANNELS_EVENT_WORD_H_
