// EventCount: lets a thread sleep until a condition of some lock-free structure may have changed.
//
// Who includes this: mailboxes and queues whose try-operations are to block.
//
//   waiter                                   poster
//   while (!TryPop(&item)) {                 Push(item);            // P: makes the condition true
//     uint32_t key = event.PrepareWait();    event.NotifyAll();     // N
//     if (TryPop(&item)) {          // R
//       event.CancelWait(key); break;
//     }
//     event.Wait(key);
//   }
//
// Theorem (no lost wake-up). If P comes before N in a poster, then a waiter whose re-check R does not see P is woken
// by N or does not sleep. Proof: PrepareWait and NotifyAll each put a sequentially consistent fence between their own
// write and read (Dekker): R missing P implies that N sees the waiter. N then changes the epoch before it wakes, so
// the waiter, whose key is older, either finds another epoch and does not sleep, or sleeps and is woken.
//
// The word is { epoch : 32, waiters : 32 }, waiters being those who announced themselves in this epoch. NotifyAll
// begins a new epoch without any: so of many notifications before a waiter is on its feet, one makes a system call.
// Without waiters NotifyAll costs a fence and a load. Thread safety: all methods, any thread.
#ifndef INTERPD_CHANNELS_EVENT_COUNT_H_
#define INTERPD_CHANNELS_EVENT_COUNT_H_

#include <atomic>
#include <bit>
#include <cstdint>

#include "absl/time/time.h"
#include "channels/futex.h"

namespace interpd::channels {

class EventCount {
 public:
  // Announces a wait. The caller must look at its condition again and then call CancelWait or Wait with the key.
  uint32_t PrepareWait() {
    // seq_cst, with the fence: the announcement comes before the caller's re-check in the one order that NotifyAll's
    // fence is part of. acquire (in seq_cst): the key is read before the re-check.
    const uint64_t before = word_.fetch_add(1, std::memory_order_seq_cst);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    return Epoch(before);
  }

  void CancelWait(uint32_t key) {
    // relaxed: a poster that still counts this waiter only makes a needless system call.
    uint64_t word = word_.load(std::memory_order_relaxed);
    // In a newer epoch this waiter is not counted any more.
    while (Epoch(word) == key && !word_.compare_exchange_weak(word, word - 1, std::memory_order_relaxed)) {
    }
  }

  // Sleeps until NotifyAll was called after PrepareWait, or the deadline. Returns false on the deadline alone.
  bool Wait(uint32_t key, absl::Time deadline = absl::InfiniteFuture()) {
    // acquire: what was written before the notification is visible to the waiter.
    while (Epoch(word_.load(std::memory_order_acquire)) == key) {
      if (!FutexWait(epoch_half(), key, deadline)) {
        CancelWait(key);
        return Epoch(word_.load(std::memory_order_acquire)) != key;  // a notification that came just in time counts
      }
    }
    return true;
  }

  void NotifyAll() {
    // The poster's half of the Dekker pair: its change before this fence, the look at the waiters after it.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    uint64_t word = word_.load(std::memory_order_relaxed);  // relaxed: ordered by the fence
    do {
      if (Waiters(word) == 0) return;
      // release: pairs with the acquire in Wait.
    } while (!word_.compare_exchange_weak(word, (word | 0xffffffffu) + 1, std::memory_order_release,
                                          std::memory_order_relaxed));
    FutexWake(epoch_half());
  }

  // A guess, for those who choose between spinning and sleeping.
  bool HasWaiters() const { return Waiters(word_.load(std::memory_order_relaxed)) != 0; }

 private:
  static uint32_t Epoch(uint64_t word) { return static_cast<uint32_t>(word >> 32); }
  static uint32_t Waiters(uint64_t word) { return static_cast<uint32_t>(word); }

  // The kernel looks at the epoch alone.
  std::atomic<uint32_t>* epoch_half() {
    static_assert(std::endian::native == std::endian::little);
    return reinterpret_cast<std::atomic<uint32_t>*>(&word_) + 1;
  }

  std::atomic<uint64_t> word_{0};
};

}  // namespace interpd::channels

#endif  // INTERPD_CHANNELS_EVENT_COUNT_H_
