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
// Theorem 2 (baton rule). NotifyOne is enough for "one item came" if every waiter that was released and leaves WITHOUT
// taking an item, that is, goes neither through a successful nor a failed try after its release, calls NotifyOne. Such
// are: a select that took another case, a time-out, an interrupt or a cancellation that came together with the
// notification. Wait tells: it returns kTimeout and kInterrupted only to waiters that NotifyOne has not released, who
// owe nothing; who got kNotified either tries again or passes on. After WaitAny, CancelWait tells for each event.
// Proof: consider an item that nobody takes while somebody sleeps for ever. The N of its push released a waiter W. W's
// next try, being later than the push, takes this item or one in its place, or finds nothing because others took it,
// which contradicts the assumption; or W makes no try and passes on by an N' of which the same holds. There are
// finitely many waiters announced before the item came, and those announced later see it in R.
//
// The word is { epoch : 32, waiters : 32 }. Invariants:
//  1. waiters >= those announced with the present epoch + those asleep, less one for each NotifyOne that has counted
//     and not yet woken. It may be more: of waiters that NotifyOne released before they slept, one is uncounted by it,
//     and the others remain counted. Each surplus costs one needless system call, once.
//  2. The epoch changes when and only when somebody is released. So who finds its key as the epoch was not released.
//     (2^32 releases between a waiter's look at the epoch and its sleep would be missed.)
// A poster that stops between counting and waking leaves a waiter asleep whom the word does not count any more. Who was
// released and has taken an item, and sees that more are there, calls PassOn: it wakes also such a one. So a stopped
// poster keeps nobody asleep while others' items lie there.
//
// Without waiters a notification costs a fence and a load; of many notifications before the waiters are on their feet,
// one for each waiter makes a system call. Thread safety: all methods, any thread. It must outlive the notifications.
#ifndef INTERPD_CHANNELS_EVENT_COUNT_H_
#define INTERPD_CHANNELS_EVENT_COUNT_H_

#include <array>
#include <atomic>
#include <climits>
#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "channels/atom.h"
#include "channels/deadline.h"
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

  // An announced wait on one of several events.
  struct Prepared {
    BasicEventCount* event;
    uint32_t key;
  };

  BasicEventCount() = default;
  BasicEventCount(const BasicEventCount&) = delete;
  BasicEventCount& operator=(const BasicEventCount&) = delete;

  // Announces a wait. The caller must look at its condition again and then call CancelWait or Wait with the key.
  uint32_t PrepareWait() {
    // seq_cst, with the fence: the announcement comes before the caller's re-check in the one order that the
    // notifications' fences are part of. acquire (in seq_cst): the key is read before the re-check.
    const uint64_t before = word_.fetch_add(1, std::memory_order_seq_cst);
    Fence<Atom>(std::memory_order_seq_cst);
    return UpperHalf(before);
  }

  // Takes the announcement back. Returns whether somebody was released since: after a sleep (WaitAny) that may have
  // been this waiter, and the baton rule holds; a waiter that has not slept owes nothing.
  bool CancelWait(uint32_t key) {
    // acquire: what was written before a notification is visible. No release: a poster that still counts this waiter
    // only makes a needless system call.
    uint64_t word = word_.load(std::memory_order_acquire);
    // Only while nobody was released is this waiter known to be counted still.
    while (UpperHalf(word) == key) {
      if (word_.compare_exchange_weak(word, word - 1, std::memory_order_acquire, std::memory_order_acquire))
        return false;
    }
    return true;
  }

  // Sleeps until released, the deadline, or the interrupt's Raise after `ticket` was read.
  WaitResult Wait(uint32_t key, const Deadline& deadline = Deadline::Infinite(), Interrupt* interrupt = nullptr,
                  uint32_t ticket = 0) {
    const Prepared prepared = {this, key};
    const WaitResult result = WaitAny(absl::MakeConstSpan(&prepared, 1), deadline, interrupt, ticket);
    if (result == WaitResult::kNotified) return result;
    return CancelWait(key) ? WaitResult::kNotified : result;  // a notification that came just in time counts
  }

  // Sleeps until one of the events has released somebody, or as above. The caller then calls CancelWait for each.
  // Requires: at most kMaxFutexConditions - 1 events.
  static WaitResult WaitAny(absl::Span<const Prepared> prepared, const Deadline& deadline = Deadline::Infinite(),
                            Interrupt* interrupt = nullptr, uint32_t ticket = 0) {
    std::array<FutexCondition<Atom>, kMaxFutexConditions> conditions;
    size_t count = 0;
    for (const Prepared& one : prepared) conditions[count++] = {&one.event->word_, one.key};
    bool interrupted = false;
    if (interrupt != nullptr) {
      conditions[count++] = {&interrupt->word_, ticket};
      interrupted = interrupt->Announce() != ticket;
    }
    WaitResult result;
    while (true) {
      if (Released(prepared)) {
        result = WaitResult::kNotified;
        break;
      }
      if (interrupted || (interrupt != nullptr && interrupt->ticket() != ticket)) {
        result = WaitResult::kInterrupted;
        break;
      }
      if (!Futex<Atom>::Wait(absl::MakeConstSpan(conditions.data(), count), deadline)) {
        result = Released(prepared) ? WaitResult::kNotified : WaitResult::kTimeout;
        break;
      }
    }
    if (interrupt != nullptr) interrupt->Retire();
    return result;
  }

  // Releases one waiter, if there is any.
  void NotifyOne(Published published = Published::kAnyhow) {
    uint64_t word = Look(published);
    do {
      if (LowerHalf(word) == 0) return;
      // release: pairs with the acquire in Released.
    } while (
        !word_.compare_exchange_weak(word, word + kOneUpper - 1, std::memory_order_release, std::memory_order_relaxed));
    Futex<Atom>::Wake(&word_, 1);
  }

  // NotifyOne by a waiter that was released, for what it leaves; see above. A system call, whoever waits.
  void PassOn() {
    uint64_t word = Look(Published::kAnyhow);
    // release: as in NotifyOne. With no waiter counted there is nobody to release but those who are released already.
    while (LowerHalf(word) != 0 && !word_.compare_exchange_weak(word, word + kOneUpper - 1, std::memory_order_release,
                                                                std::memory_order_relaxed)) {
    }
    Futex<Atom>::Wake(&word_, 1);
  }

  // Releases all waiters.
  void NotifyAll(Published published = Published::kAnyhow) {
    uint64_t word = Look(published);
    do {
      if (LowerHalf(word) == 0) return;
      // release: pairs with the acquire in Released. The new epoch begins without waiters.
    } while (!word_.compare_exchange_weak(word, (word & ~uint64_t{UINT32_MAX}) + kOneUpper, std::memory_order_release,
                                          std::memory_order_relaxed));
    Futex<Atom>::Wake(&word_, INT_MAX);
  }

  // A guess, for those who choose between spinning and sleeping.
  bool HasWaiters() const { return LowerHalf(word_.load(std::memory_order_relaxed)) != 0; }

 private:
  // The poster's half of the Dekker pair: its change comes before, the look at the waiters after.
  uint64_t Look(Published published) const {
    // seq_cst: see Published.
    if (published == Published::kSeqCst) return word_.load(std::memory_order_seq_cst);
    Fence<Atom>(std::memory_order_seq_cst);
    return word_.load(std::memory_order_relaxed);  // relaxed: ordered by the fence
  }

  static bool Released(absl::Span<const Prepared> prepared) {
    for (const Prepared& one : prepared) {
      // acquire: what was written before the notification is visible to the waiter.
      if (UpperHalf(one.event->word_.load(std::memory_order_acquire)) != one.key) return true;
    }
    return false;
  }

  Atom<uint64_t> word_{0};
};

using EventCount = BasicEventCount<std::atomic>;

}  // namespace interpd::channels

#endif  // INTERPD_CHANNELS_EVENT_COUNT_H_
