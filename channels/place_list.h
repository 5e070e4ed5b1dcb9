// PlaceList: places in which waiters lie, to be found by who has news for them.
//
// Who includes this: listeners.h.
//
// A place is taken, filled, armed, and given back; it is never freed before the list is, so whoever walks the list
// needs no protection. The list grows to as many places as were in use at once. Lock-free: each place has a word of its
// own, and a thread that stops while it owns a place keeps that one place.
//
// The word is { version : 62, state : 2 }. Invariants:
//  1. free -> busy by whoever takes it; busy -> armed by the owner; armed -> busy by whoever takes the waiter out;
//     armed -> told by a notifier; busy, armed, told -> free, with the next version, by the owner. So of those who want
//     to take the same waiter out, one succeeds, and a compare-and-swap with an old version never does.
//  2. payload is touched by the owner of a busy place alone. `waiter` and `since` may be read by anyone, and belong to
//     the version in the word if that is still the same afterwards (a compare-and-swap that succeeds says so).
//  3. *armed counts the armed places, and those that are about to be: it is raised before and lowered after.
//
// No lost news (Dekker): Arm makes the place visible by seq_cst operations and a fence, and then its caller looks at
// the channel. A notifier changes the channel, and then looks at *armed and the places, with a fence or seq_cst
// operations in between (Published in event_count.h). One of the two sees the other.
//
// Thread safety: all methods, any thread.
#ifndef INTERPD_CHANNELS_PLACE_LIST_H_
#define INTERPD_CHANNELS_PLACE_LIST_H_

#include <atomic>
#include <cstdint>

#include "channels/atom.h"

namespace interpd::channels {

template <typename Waiter, typename Payload, template <typename> class Atom>
class PlaceList {
 public:
  struct Place {
    Atom<uint64_t> word{0};
    Atom<uint64_t> since{0};
    Atom<Waiter*> waiter{nullptr};
    Payload payload{};
    Place* next = nullptr;  // immutable once the place is on the list
  };

  explicit PlaceList(Atom<uint64_t>* armed) : armed_(*armed) {}
  PlaceList(const PlaceList&) = delete;
  PlaceList& operator=(const PlaceList&) = delete;
  ~PlaceList() {
    // relaxed: nobody else uses it.
    for (Place* place = places_.load(std::memory_order_relaxed); place != nullptr;) {
      Place* next = place->next;
      delete place;
      place = next;
    }
  }

  // Puts a waiter on the list; the caller then looks at the channel. Returns the place; *version names the stay.
  Place* Put(Waiter* waiter, Payload payload, uint64_t* version) {
    Place* place = TakeFree();
    place->payload = std::move(payload);
    // release: who reads them with acquire has also the word of this version, or a later one.
    place->waiter.store(waiter, std::memory_order_release);
    // relaxed: a number; it orders nothing.
    place->since.store(arrivals_.fetch_add(1, std::memory_order_relaxed), std::memory_order_release);
    *version = VersionOf(place->word.load(std::memory_order_relaxed));  // relaxed: the owner's own
    // seq_cst, with the fence: see "No lost news".
    armed_.fetch_add(1, std::memory_order_seq_cst);
    place->word.store(Word(*version, kArmed), std::memory_order_seq_cst);
    Fence<Atom>(std::memory_order_seq_cst);
    return place;
  }

  // Takes a waiter out: true if the place was armed in that version; the caller then owns it and calls Free.
  bool Take(Place* place, uint64_t version) {
    uint64_t expected = Word(version, kArmed);
    // acquire: the payload is visible. relaxed: another word is only compared.
    if (!place->word.compare_exchange_strong(expected, Word(version, kBusy), std::memory_order_acquire,
                                             std::memory_order_relaxed)) {
      return false;
    }
    Disarmed();
    return true;
  }

  // Requires: a place that Take gave.
  void Free(Place* place) {
    const uint64_t word = place->word.load(std::memory_order_relaxed);  // relaxed: the owner's own
    // release: what was done to the payload comes before the next owner.
    place->word.store(Word(VersionOf(word) + 1, kFree), std::memory_order_release);
  }

  // Marks an armed place as told: true for the one call that does.
  bool Tell(Place* place, uint64_t version) {
    uint64_t expected = Word(version, kArmed);
    // relaxed: the waiter was told by other means; the mark alone tells nobody anything.
    if (!place->word.compare_exchange_strong(expected, Word(version, kTold), std::memory_order_relaxed)) return false;
    Disarmed();
    return true;
  }

  enum class Left { kArmed, kTold, kTaken };

  // The waiter goes by itself: frees its place, unless somebody has taken it out, who frees the place then.
  Left Leave(Place* place, uint64_t version) {
    uint64_t word = place->word.load(std::memory_order_relaxed);  // relaxed: decided by the exchange
    while (VersionOf(word) == version && StateOf(word) != kBusy) {
      // release: as in Free.
      if (place->word.compare_exchange_weak(word, Word(version + 1, kFree), std::memory_order_release,
                                            std::memory_order_relaxed)) {
        if (StateOf(word) == kTold) return Left::kTold;
        Disarmed();
        return Left::kArmed;
      }
    }
    return Left::kTaken;
  }

  // The armed place with the longest waiting waiter other than `except`, or null. *version: its stay.
  Place* Oldest(const Waiter* except, uint64_t* version) const {
    Place* oldest = nullptr;
    uint64_t since = 0;
    ForEachArmed([&](Place* place, uint64_t place_version) {
      // acquire: invariant 2.
      if (place->waiter.load(std::memory_order_acquire) == except && except != nullptr) return;
      const uint64_t place_since = place->since.load(std::memory_order_acquire);
      if (oldest != nullptr && place_since >= since) return;
      oldest = place;
      since = place_since;
      *version = place_version;
    });
    return oldest;
  }

  // Calls visit(place, version) for each place that is armed when it is come to.
  template <typename Visit>
  void ForEachArmed(Visit visit) const {
    // seq_cst: see "No lost news". acquire (in seq_cst): the place is made.
    for (Place* place = places_.load(std::memory_order_seq_cst); place != nullptr; place = place->next) {
      const uint64_t word = place->word.load(std::memory_order_seq_cst);
      if (StateOf(word) == kArmed) visit(place, VersionOf(word));
    }
  }

 private:
  enum State : uint64_t { kFree, kBusy, kArmed, kTold };

  static uint64_t Word(uint64_t version, State state) { return (version << 2) | state; }
  static uint64_t VersionOf(uint64_t word) { return word >> 2; }
  static State StateOf(uint64_t word) { return static_cast<State>(word & 3); }

  // release: who sees the count lowered and looks at the place sees why.
  void Disarmed() { armed_.fetch_sub(1, std::memory_order_release); }

  Place* TakeFree() {
    // acquire: the place is made. relaxed: decided by the exchange.
    for (Place* place = places_.load(std::memory_order_acquire); place != nullptr; place = place->next) {
      uint64_t word = place->word.load(std::memory_order_relaxed);
      // acquire: the last owner is done with the payload.
      if (StateOf(word) == kFree &&
          place->word.compare_exchange_strong(word, Word(VersionOf(word), kBusy), std::memory_order_acquire,
                                              std::memory_order_relaxed)) {
        return place;
      }
    }
    Place* place = new Place;
    place->word.store(Word(0, kBusy), std::memory_order_relaxed);  // relaxed: published with the place
    place->next = places_.load(std::memory_order_relaxed);         // relaxed: only linked to
    // seq_cst: see "No lost news". relaxed: only linked to.
    while (!places_.compare_exchange_weak(place->next, place, std::memory_order_seq_cst, std::memory_order_relaxed)) {
    }
    return place;
  }

  Atom<uint64_t>& armed_;
  Atom<uint64_t> arrivals_{0};
  Atom<Place*> places_{nullptr};
};

}  // namespace interpd::channels

#endif  // INTERPD_CHANNELS_PLACE_LIST_H_
