// EventCount: lets a thread sleep until a condition of some lock-free structure may have changed.
//
// Who includes this: mailboxes and queues whose try-operations are to block.
//
//   waiter                                   poster
//   while (!TryPop(&item)) {                 Push(item);            // P: makes the condition true
//     uint32_t key = event.PrepareWait();    event.NotifyAll();     // N
//     if (TryPop(&item)) {          // R
//       event.CancelWait(); break;
//     }
//     event.Wait(key);
//   }
//
// Theorem (no lost wake-up). If P comes before N in a poster, then a waiter whose re-check R does not see P is woken
// by N or does not sleep. Proof: PrepareWait and NotifyAll each put a sequentially consistent fence between their own
// write and read (Dekker): R missing P implies that N sees the waiter. N then changes the epoch before it wakes, so
// the waiter, whose key was read before R, either finds another epoch and does not sleep, or sleeps and is woken.
//
// NotifyAll costs a fence and a load, and no syscall, when nobody waits. Thread safety: all methods, any thread.
#ifndef INTERPD_CHANNELS_EVENT_COUNT_H_
#define INTERPD_CHANNELS_EVENT_COUNT_H_

#include <atomic>
#include <cstdint>

#include "absl/time/time.h"
#include "channels/futex.h"

namespace interpd::channels {

class EventCount {
 public:
  // Announces a wait. The caller must look at its condition again and then call CancelWait or Wait.
  uint32_t PrepareWait() {
    // seq_cst: the announcement comes before the caller's re-check in the one order that NotifyAll's fence is part of.
    waiters_.fetch_add(1, std::memory_order_seq_cst);
    // relaxed on the fence's far side would do for the Dekker pair; acquire also orders the key before the re-check.
    uint32_t key = epoch_.load(std::memory_order_acquire);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    return key;
  }

  void CancelWait() {
    // relaxed: a poster that still sees the old count only makes a needless syscall.
    waiters_.fetch_sub(1, std::memory_order_relaxed);
  }

  // Sleeps until NotifyAll was called after PrepareWait, or the deadline. Returns false on the deadline alone.
  bool Wait(uint32_t key, absl::Time deadline = absl::InfiniteFuture()) {
    bool in_time = true;
    // acquire: what was written before the notification is visible to the waiter.
    while (in_time && epoch_.load(std::memory_order_acquire) == key) in_time = FutexWait(&epoch_, key, deadline);
    CancelWait();
    return in_time;
  }

  void NotifyAll() {
    // The poster's half of the Dekker pair: its change before this fence, the look at the waiters after it.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    // relaxed: ordered by the fence.
    if (waiters_.load(std::memory_order_relaxed) == 0) return;
    // release: pairs with the acquire in Wait.
    epoch_.fetch_add(1, std::memory_order_release);
    FutexWake(&epoch_);
  }

  // A guess, for those who choose between spinning and sleeping.
  bool HasWaiters() const { return waiters_.load(std::memory_order_relaxed) != 0; }

 private:
  std::atomic<uint32_t> epoch_{0};
  std::atomic<uint32_t> waiters_{0};
};

}  // namespace interpd::channels

#endif  // INTERPD_CHANNELS_EVENT_COUNT_H_
