// SelectWaiter: a thread that waits in a select, as those see it who wake it or make a rendezvous with it.
//
// Who includes this: basic_select.h, and the flavours of channels.
//
// The word is { version : 61, signalled : 1, phase : 2 }; each wait has a version of its own. Invariants:
//  1. idle -> waiting by the owner; waiting -> claimed by one partner, or -> idle by the owner, who withdraws; claimed
//  ->
//     done by that partner. So a wait ends in one rendezvous or in none.
//  2. Between claimed and done the partner, and nobody else, touches the values of the wait's case and `chosen_`. The
//     owner, if it wants to leave meanwhile, waits for it: the partner has a move of 16 bytes to do. This is the one
//     place in a channel where a thread waits for another's next step, and only for its partner's.
//  3. A waiter is never freed: who has found it in a place (place_list.h) may signal it at any time. A signal that
//  comes
//     late wakes a later wait for nothing.
//
// Thread safety: Signal, TryClaim and Complete, any thread; the rest, the thread that waits.
#ifndef INTERPD_CHANNELS_SELECT_WAITER_H_
#define INTERPD_CHANNELS_SELECT_WAITER_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "channels/adaptive_spin.h"
#include "channels/channel.h"
#include "channels/event_count.h"

namespace interpd::channels {

// The interrupt of a wait, for code on other atomics than the machine's: none.
template <template <typename> class Atom>
BasicInterrupt<Atom>* InterruptOf(const Wait& wait) {
  if constexpr (std::is_same_v<Atom<int>, std::atomic<int>>) {
    return wait.interrupt;
  } else {
    return nullptr;
  }
}

// Polling makes sense on the machine alone: tests of all interleavings go straight to sleep.
template <template <typename> class Atom, typename Ready>
bool SpinIfReal(AdaptiveSpin& spin, Ready ready) {
  if constexpr (std::is_same_v<Atom<int>, std::atomic<int>>) {
    return spin.Spin(ready);
  } else {
    return false;
  }
}

template <template <typename> class Atom, typename Ready>
bool SpinBrieflyIfReal(AdaptiveSpin& spin, Ready ready) {
  if constexpr (std::is_same_v<Atom<int>, std::atomic<int>>) {
    return spin.SpinBriefly(ready);
  } else {
    return false;
  }
}

class SelectWaiter {
 public:
  // Makes the owner look again.
  virtual void Signal() = 0;
  // Claims the wait of that version for a rendezvous. Complete must follow.
  virtual bool TryClaim(uint64_t version) = 0;
  // The values have been moved; the owner returns with this case.
  virtual void Complete(size_t chosen) = 0;

 protected:
  ~SelectWaiter() = default;
};

template <template <typename> class Atom>
class BasicSelectWaiter final : public SelectWaiter {
 public:
  // Begins a wait. Returns its version.
  uint64_t Begin() {
    ++version_;
    // relaxed: published with the places that name the waiter.
    word_.store(Word(version_, kWaiting), std::memory_order_relaxed);
    key_ = event_.PrepareWait();
    announced_ = true;
    return version_;
  }

  // Sleeps until signalled or claimed, or the wait's end.
  WaitResult Sleep(const Wait& wait) {
    auto disturbed = [this] {
      // acquire: what was done before the signal is visible.
      return word_.load(std::memory_order_acquire) != Word(version_, kWaiting);
    };
    if ((!spin_.WaitsForSleeper() && SpinIfReal<Atom>(spin_, disturbed)) || disturbed()) return WaitResult::kNotified;
    const auto start = AdaptiveSpin::Clock::now();
    const WaitResult result = event_.Wait(key_, wait.deadline, InterruptOf<Atom>(wait), wait.ticket);
    announced_ = false;
    if (result == WaitResult::kNotified) spin_.Slept(start);
    return result;
  }

  // Ends the wait. True: no rendezvous was made and none will be. False: one was, with the case *chosen.
  bool End(size_t* chosen) {
    if (announced_) event_.CancelWait(key_);
    // acquire: as above.
    uint64_t word = word_.load(std::memory_order_acquire);
    while (PhaseOf(word) == kWaiting) {
      if (word_.compare_exchange_weak(word, Word(version_, kIdle), std::memory_order_acquire,
                                      std::memory_order_acquire)) {
        return true;
      }
    }
    while (PhaseOf(word) == kClaimed) {
      const uint32_t key = event_.PrepareWait();
      word = word_.load(std::memory_order_acquire);  // acquire: the values are moved
      if (PhaseOf(word) == kClaimed) {
        event_.Wait(key);
        word = word_.load(std::memory_order_acquire);
      } else {
        event_.CancelWait(key);
      }
    }
    *chosen = chosen_;
    return false;
  }

  void Signal() override {
    // release: what was done before is visible to who sees the signal.
    word_.fetch_or(kSignalled, std::memory_order_release);
    event_.NotifyAll();
  }

  bool TryClaim(uint64_t version) override {
    uint64_t word = word_.load(std::memory_order_relaxed);  // relaxed: decided by the exchange
    while (VersionOf(word) == version && PhaseOf(word) == kWaiting) {
      // acquire: the values that the owner has put into its case are visible.
      if (word_.compare_exchange_weak(word, Word(version, kClaimed), std::memory_order_acquire,
                                      std::memory_order_relaxed)) {
        return true;
      }
    }
    return false;
  }

  void Complete(size_t chosen) override {
    chosen_ = chosen;
    // release: the values and `chosen_` are visible to the owner. relaxed: the partner alone changes the phase now.
    const uint64_t version = VersionOf(word_.load(std::memory_order_relaxed));
    word_.store(Word(version, kDone), std::memory_order_release);
    event_.NotifyAll();
  }

 private:
  enum Phase : uint64_t { kIdle, kWaiting, kClaimed, kDone };
  static constexpr uint64_t kSignalled = 4;

  static uint64_t Word(uint64_t version, Phase phase) { return (version << 3) | phase; }
  static uint64_t VersionOf(uint64_t word) { return word >> 3; }
  static Phase PhaseOf(uint64_t word) { return static_cast<Phase>(word & 3); }

  Atom<uint64_t> word_{0};
  BasicEventCount<Atom> event_;
  size_t chosen_ = 0;     // the partner's, between claimed and done
  uint64_t version_ = 0;  // the owner's, as what follows
  uint32_t key_ = 0;
  bool announced_ = false;
  AdaptiveSpin spin_;
};

// One case of a waiting select, on the list of its channel.
class SelectEntry {
 public:
  Direction direction;
  Value* value;
  SelectWaiter* waiter;
  uint64_t wait_version;
  size_t index;
  // Where it lies; the channel's.
  void* place = nullptr;
  uint64_t place_version = 0;
};

}  // namespace interpd::channels

#endif  // INTERPD_CHANNELS_SELECT_WAITER_H_
