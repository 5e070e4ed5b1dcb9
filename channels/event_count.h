// EventCount: lets a thread sleep until a condition of some lock-free structure may have changed.
//
// Who includes this: mailboxes, queues and channels whose try-operations are to block.
//
//   waiter                                   poster
//   while (!TryPop(&item)) {                 Push(item);            // P: makes the condition true
//     uint32_t key = event.PrepareWait();    event.NotifyOne();     // N: or NotifyAll
//     if (TryPop(&item)) {          // R
//       event.CancelWait(key);
//       break;
//     }
//     event.Wait(key);
//   }
//
// Theorem 1 (no lost wake-up). If P comes before N in a poster, then for a waiter whose re-check R does not see P, N
// finds a waiter announced and releases one: this one, or another that was announced too. NotifyAll releases this one.
// Proof: PrepareWait and Notify each put a sequentially consistent fence between their own write and read (Dekker): R
// missing P implies that N sees the announcement. N then changes the epoch before it wakes: a waiter that is not asleep
// yet finds another epoch than its key and does not sleep (the kernel compares as it puts it to bed), and of those
// asleep the kernel wakes one (all).
//
// Theorem 2 (baton rule). NotifyOne is enough for "one item came" if each waiter that got kNotified tries again,
// whether it finds something or not, or else calls NotifyOne (a select that took another case, a cancelled call). Who
// got kTimeout or kInterrupted, and who called CancelWait, owes nothing: the kernel has woken nobody in its place.
// Proof: consider an item that nobody takes while somebody sleeps for ever, W. N of its push came while W was asleep
// (or W would have seen the item in R, or another epoch than its key). So N woke somebody, who tried after the push and
// took this item, or one in its place, or found nothing because others had taken it, which contradicts the assumption;
// or who passed on by an N' of which the same holds. There are finitely many asleep before the item came.
//
// Theorem 3 (posters that stop). Each N that returns while somebody is asleep has woken somebody itself. For it looks
// at a count that says at least how many are asleep (invariant 1). So a poster that stops anywhere hides no sleeper
// from the others.
//
// The word is { epoch : 32, waiters : 32 }. Invariants:
//  1. waiters counts those who announced themselves and are not uncounted. Each is uncounted once: by whoever woke it,
//     after that (the kernel tells how many it woke), or by itself when nobody has woken it: released before it slept,
//     cancelled, timed out, interrupted. So it is never less than the number of those asleep.
//  2. The epoch only grows, by one for each notification that saw a waiter, and each interrupt of one. (2^32 of them
//     between a waiter's look at the epoch and its sleep would be missed.)
//
// Without waiters a notification costs a fence and a load; and since those woken are uncounted by who woke them, it
// costs no more while they are on their way. Thread safety: all methods, any thread. It must outlive all calls.
#ifndef INTERPD_CHANNELS_EVENT_COUNT_H_
#define INTERPD_CHANNELS_EVENT_COUNT_H_

#include <atomic>
#include <climits>
#include <cstdint>

#include "channels/atom.h"
#include "channels/deadline.h"
#include "channels/event_word.h"
#include "channels/futex.h"
#include "channels/interrupt.h"

namespace interpd::channels {

enum class WaitResult { kNotified, kTimeout, kInterrupted };

// How the poster made the condition true.
enum class Published {
  kAnyhow,  // the notification brings the fence
  // By a seq_cst operation on the very atomic that the waiter's re-check reads: then it, the announcement's fence and
  // the notification's look lie in the one order of such operations, and the poster needs no fence.
  kSeqCst,
};

template <template <typename> class Atom>
class BasicEventCount {
 public:
  using Interrupt = BasicInterrupt<Atom>;

  BasicEventCount() = default;
  BasicEventCount(const BasicEventCount&) = delete;
  BasicEventCount& operator=(const BasicEventCount&) = delete;

  // Announces a wait. The caller must look at its condition again and then call CancelWait or Wait with the key, one of
  // them and once.
  uint32_t PrepareWait() {
    // seq_cst, with the fence: the announcement comes before the caller's re-check in the one order that the
    // notifications' fences are part of. acquire (in seq_cst): the key is read before the re-check.
    const uint64_t before = word_.fetch_add(1, std::memory_order_seq_cst);
    Fence<Atom>(std::memory_order_seq_cst);
    return UpperHalf(before);
  }

  void CancelWait(uint32_t /*key*/) { Uncount(1); }

  // Sleeps until released, the deadline, or the interrupt's Raise after `ticket` was read.
  WaitResult Wait(uint32_t key, const Deadline& deadline = Deadline::Infinite(), Interrupt* interrupt = nullptr,
                  uint32_t ticket = 0) {
    auto* place = interrupt == nullptr ? nullptr : interrupt->Enter(&word_);
    const WaitResult result = Sleep(key, deadline, interrupt, ticket);
    if (place != nullptr) interrupt->Leave(place, &word_);
    return result;
  }

  // Releases one waiter, if there is any; and whoever has announced itself and does not sleep yet.
  void NotifyOne(Published published = Published::kAnyhow) { Notify(published, 1); }

  // Releases all waiters.
  void NotifyAll(Published published = Published::kAnyhow) { Notify(published, INT_MAX); }

  // A guess, for those who choose between spinning and sleeping.
  bool HasWaiters() const { return LowerHalf(word_.load(std::memory_order_relaxed)) != 0; }

 private:
  WaitResult Sleep(uint32_t key, const Deadline& deadline, const Interrupt* interrupt, uint32_t ticket) {
    while (true) {
      // acquire: what was written before the notification is visible.
      if (UpperHalf(word_.load(std::memory_order_acquire)) != key) {
        Uncount(1);
        return WaitResult::kNotified;
      }
      if (interrupt != nullptr && interrupt->ticket() != ticket) {
        Uncount(1);
        return WaitResult::kInterrupted;
      }
      const FutexResult slept = Futex<Atom>::Wait(word_, key, deadline);
      if (slept == FutexResult::kWoken) {
        // acquire: as above; a sleeper that is woken sees the epoch that was made before.
        (void)word_.load(std::memory_order_acquire);
        return WaitResult::kNotified;
      }
      if (slept == FutexResult::kTimeout) {
        Uncount(1);
        return WaitResult::kTimeout;
      }
    }
  }

  void Notify(Published published, int sleepers) {
    if (LowerHalf(Look(published)) != 0) ReleaseWaiters<Atom>(word_, sleepers);
  }

  // The poster's half of the Dekker pair: its change comes before, the look at the waiters after.
  uint64_t Look(Published published) const {
    // seq_cst: see Published.
    if (published == Published::kSeqCst) return word_.load(std::memory_order_seq_cst);
    Fence<Atom>(std::memory_order_seq_cst);
    return word_.load(std::memory_order_relaxed);  // relaxed: ordered by the fence
  }

  void Uncount(uint64_t waiters) { UncountWaiters<Atom>(word_, waiters); }

  Atom<uint64_t> word_{0};
};

using EventCount = BasicEventCount<std::atomic>;

}  // namespace interpd::channels

#endif  // INTERPD_CHANNELS_EVENT_COUNT_H_
