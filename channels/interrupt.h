// Interrupt: ends the waits of one owner, wherever it waits.
//
// Who includes this: event_count.h, and whoever gives waits an interrupt.
//
//   waiter                                             interrupter
//   uint32_t ticket = interrupt.ticket();              flag = true;        // what the waiter is to see
//   if (flag) return;                                  interrupt.Raise();
//   event.Wait(key, deadline, &interrupt, ticket);
//
// A waiter sleeps on its event's word alone (a sleep on two words at once takes 1 us more), and says in a place of the
// interrupt which word that is; Raise releases the waiters of each such word.
//
// Theorem. A Raise that comes after ticket() was read ends every wait that is given that ticket, whether it comes
// before, while or after the waiter falls asleep: the wait returns kInterrupted, or kNotified, and then the next wait
// with the old ticket returns kInterrupted. Proof: the waiter takes its key, then a place, then looks at the ticket;
// Raise changes the ticket, then looks at the places; these four are seq_cst. So the waiter sees another ticket, or
// Raise sees the place taken, and begins a new epoch of that event after the waiter has taken its key.
//
// Invariants:
//  1. A place holds the word that its owner is about to sleep on, or sleeps on; or nothing. Only its owner frees it.
//  2. While a Raise uses the word, the place is marked, and its owner does not free it: so the event outlives the use.
//     An interrupter that stops there stops the waits that it interrupts, and nobody else: a second Raise passes over
//     the mark, since the first one has yet to begin a new epoch, or has done so after the key was taken.
//
// Thread safety: all methods, any thread. It must outlive its waits and its Raises. Raise without waits: one addition
// and a look at the places. Other waiters of the events concerned may return kNotified too.
#ifndef INTERPD_CHANNELS_INTERRUPT_H_
#define INTERPD_CHANNELS_INTERRUPT_H_

#include <array>
#include <atomic>
#include <climits>
#include <cstdint>

#include "channels/event_word.h"
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
  ~BasicInterrupt() {
    // relaxed: nobody else uses it.
    for (Places* places = first_.next.load(std::memory_order_relaxed); places != nullptr;) {
      Places* next = places->next.load(std::memory_order_relaxed);
      delete places;
      places = next;
    }
  }

  // Changes with every Raise. seq_cst: see the theorem. acquire (in seq_cst): who sees a Raise's ticket sees what was
  // written before it.
  uint32_t ticket() const { return static_cast<uint32_t>(raised_.load(std::memory_order_seq_cst)); }

  void Raise() {
    // seq_cst: see the theorem. release (in seq_cst): publishes what the waiter is to see.
    raised_.fetch_add(1, std::memory_order_seq_cst);
    // acquire: the places are visible.
    for (Places* places = &first_; places != nullptr; places = places->next.load(std::memory_order_acquire)) {
      for (Place& place : places->place) Release(place);
    }
  }

 private:
  friend class BasicEventCount<Atom>;

  // The address of an event's word and kMark, or 0.
  using Place = Atom<uint64_t>;
  // Enough for the threads that wait in most interpreters; further ones are added, and stay.
  struct Places {
    std::array<Place, 6> place{};
    Atom<Places*> next{nullptr};
  };

  // Addresses of user space do not reach so high. In the upper half, which a futex looks at.
  static constexpr uint64_t kMark = uint64_t{1} << 63;

  void Release(Place& place) {
    uint64_t word = place.load(std::memory_order_seq_cst);  // see the theorem
    if (word == 0 || (word & kMark) != 0) return;
    // acquire: the event is as its waiter saw it. Failure: freed since, and who takes it now sees the new ticket; or
    // marked by another. relaxed: nothing is read.
    if (!place.compare_exchange_strong(word, word | kMark, std::memory_order_acquire, std::memory_order_relaxed))
      return;
    ReleaseWaiters<Atom>(*reinterpret_cast<Atom<uint64_t>*>(word), INT_MAX);
    // release: the use of the event comes before its end.
    place.store(word, std::memory_order_release);
    Futex<Atom>::Wake(&place, INT_MAX);
  }

  // The caller is about to sleep on `word`. It looks at the ticket next, and calls Leave in the end.
  Place* Enter(Atom<uint64_t>* word) {
    const auto address = reinterpret_cast<uint64_t>(word);
    for (Places* places = &first_;;) {
      for (Place& place : places->place) {
        uint64_t nothing = 0;
        // relaxed: a look that spares an exchange; failure reads nothing. seq_cst: see the theorem.
        if (place.load(std::memory_order_relaxed) == 0 &&
            place.compare_exchange_strong(nothing, address, std::memory_order_seq_cst, std::memory_order_relaxed)) {
          return &place;
        }
      }
      Places* next = places->next.load(std::memory_order_acquire);  // acquire: as in Raise
      if (next == nullptr) {
        auto* more = new Places;
        // release: they are visible to who finds them. acquire: or another's are.
        if (places->next.compare_exchange_strong(next, more, std::memory_order_acq_rel, std::memory_order_acquire)) {
          next = more;
        } else {
          delete more;
        }
      }
      places = next;
    }
  }

  void Leave(Place* place, Atom<uint64_t>* word) {
    const auto address = reinterpret_cast<uint64_t>(word);
    while (true) {
      uint64_t mine = address;
      // acquire: what a Raise did with the event is done. relaxed: nothing is read.
      if (place->compare_exchange_strong(mine, 0, std::memory_order_acquire, std::memory_order_relaxed)) return;
      Futex<Atom>::Wait(*place, UpperHalf(address | kMark), Deadline::Infinite());
    }
  }

  Atom<uint64_t> raised_{0};
  Places first_;
};

using Interrupt = BasicInterrupt<std::atomic>;

}  // namespace interpd::channels

#endif  // INTERPD_CHANNELS_INTERRUPT_H_
