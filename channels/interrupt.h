// Interrupt: ends waits from outside, for one interpreter or whoever else owns it.
//
// Who includes this: event_count.h, and what makes a thread stop waiting (a deadline, a cancelled call, a signal).
//
//   waiter                                             interrupter
//   uint32_t ticket = interrupt.ticket();              flag = true;        // what the waiter is to see
//   if (flag) return;                                  interrupt.Raise();
//   event.Wait(key, deadline, &interrupt, ticket);
//
// Theorem. A Raise that comes after ticket() was read ends every wait that is given that ticket, whether it comes
// before, while or after the waiter falls asleep: the wait returns kInterrupted (or kNotified, and then the next wait
// with the old ticket returns kInterrupted). Proof: Raise changes the upper half of the word. Announce and Raise are
// both read-modify-writes of one word, so one comes first: if Raise, the waiter sees another ticket than its own and
// does not sleep; if Announce, Raise sees a sleeper and wakes it, and the kernel compares the word as it puts the
// sleeper to bed.
//
// The word is { ticket : 32, sleepers : 32 }. Without sleepers Raise is one atomic addition. Thread safety: all
// methods, any thread. It must outlive its waits and its Raises.
#ifndef INTERPD_CHANNELS_INTERRUPT_H_
#define INTERPD_CHANNELS_INTERRUPT_H_

#include <atomic>
#include <climits>
#include <cstdint>

#include "channels/futex.h"

namespace interpd::channels {

template <template <typename> class Atom>
class BasicEventCount;

template <template <typename> class Atom>
class BasicInterrupt {
 public:
  BasicInterrupt() = default;
  BasicInterrupt(const BasicInterrupt&) = delete;
  BasicInterrupt& operator=(const BasicInterrupt&) = delete;

  // Changes with every Raise. acquire: who sees a Raise's ticket sees what was written before it.
  uint32_t ticket() const { return UpperHalf(word_.load(std::memory_order_acquire)); }

  void Raise() {
    // release: publishes what the waiter is to see. acquire: none is needed beside the order of this one word.
    const uint64_t before = word_.fetch_add(kOneUpper, std::memory_order_release);
    if (LowerHalf(before) != 0) Futex<Atom>::Wake(&word_, INT_MAX);
  }

 private:
  friend class BasicEventCount<Atom>;

  // Counts a sleeper; returns the ticket as of now. acquire: as in ticket().
  uint32_t Announce() { return UpperHalf(word_.fetch_add(1, std::memory_order_acquire)); }
  // relaxed: a Raise that still counts this sleeper only makes a needless system call.
  void Retire() { word_.fetch_sub(1, std::memory_order_relaxed); }

  Atom<uint64_t> word_{0};
};

using Interrupt = BasicInterrupt<std::atomic>;

}  // namespace interpd::channels

#endif  // INTERPD_CHANNELS_INTERRUPT_H_
