// WaitSide: everybody who waits for one direction of a channel: threads asleep in a send or receive, watchers, selects.
//
// Who includes this: the flavours whose waiting means trying again when there is news (queue_channel.h,
// broadcast_channel.h).
//
// Of each change one sleeping thread is told, one select and every watcher. Theorem (nobody sleeps beside a value):
// when a call has changed the channel and returned, then either what it brought is gone again, or nobody sleeps who
// wants it, or a thread is on its feet that will try, or pass on, after that change. Proof: EventCount's theorems, and:
// a thread that was released and tried passes on if there is more (which wakes also one whom a stopped notifier was
// about to wake), a select that was told and did not try passes on too. So the chain of wakings ends only where
// a try found nothing or nobody is left; and a notifier that stops anywhere breaks no other notifier's chain.
//
// Thread safety: all methods, any thread.
#ifndef INTERPD_CHANNELS_WAIT_SIDE_H_
#define INTERPD_CHANNELS_WAIT_SIDE_H_

#include "channels/adaptive_spin.h"
#include "channels/cache_line.h"
#include "channels/channel.h"
#include "channels/event_count.h"
#include "channels/listeners.h"
#include "channels/select_waiter.h"

namespace interpd::channels {

template <template <typename> class Atom>
class WaitSide {
 public:
  void Notify(Published published) {
    event_.NotifyOne(published);
    if (published == Published::kSeqCst) {
      listeners_.Notify(published);
    } else {
      listeners_.NotifyAfterFence();  // NotifyOne's
    }
  }
  void NotifyAll() {
    event_.NotifyAll();
    listeners_.NotifyAll();
  }
  void PassOn() {
    event_.NotifyOne();
    listeners_.PassOn();
  }

  // Calls attempt(), and again for a moment while it answers `blocked`, if that has paid lately.
  template <typename Attempt, typename MayTry>
  Outcome Poll(Outcome blocked, Attempt attempt, MayTry may_try) {
    Outcome outcome = attempt();
    if (outcome != blocked) return outcome;
    SpinBrieflyIfReal<Atom>(spin_, [&] { return may_try() && (outcome = attempt()) != blocked; });
    return outcome;
  }

  // Calls attempt() until it answers something else than `blocked`, sleeping in between. may_try() tells whether
  // another's attempt could succeed.
  template <typename Attempt, typename MayTry>
  Outcome Block(Outcome blocked, const Wait& wait, Attempt attempt, MayTry may_try) {
    Outcome outcome = attempt();
    if (outcome != blocked) return outcome;
    if (wait.deadline.Passed()) return Outcome::kTimeout;
    // What only looks leaves the other side's cache lines where they are.
    if (!spin_.WaitsForSleeper() &&
        SpinIfReal<Atom>(spin_, [&] { return may_try() && (outcome = attempt()) != blocked; }))
      return outcome;
    while (true) {
      const uint32_t key = event_.PrepareWait();
      outcome = attempt();
      if (outcome != blocked) {
        event_.CancelWait(key);
        return outcome;
      }
      const auto start = AdaptiveSpin::Clock::now();
      const WaitResult result = event_.Wait(key, wait.deadline, InterruptOf<Atom>(wait), wait.ticket);
      outcome = attempt();
      if (outcome != blocked) {
        if (result == WaitResult::kNotified) spin_.Slept(start);
        if (may_try()) PassOn();
        return outcome;
      }
      if (result == WaitResult::kTimeout) return Outcome::kTimeout;
      if (result == WaitResult::kInterrupted) return Outcome::kInterrupted;
    }
  }

  Listeners<Atom>& listeners() { return listeners_; }

 private:
  // What notifiers look at lies together; what waiters learn, apart from it.
  alignas(kNoSharing) BasicEventCount<Atom> event_;
  Listeners<Atom> listeners_;
  alignas(kNoSharing) AdaptiveSpin spin_;
};

}  // namespace interpd::channels

#endif  // INTERPD_CHANNELS_WAIT_SIDE_H_
