// BasicSelect: Select (select.h) over the atomics of a template parameter.
//
// Who includes this: channel.cc, rendezvous_channel.h; tests of all interleavings, with their Atom.
//
// A select tries its cases in turn, from a random one. If none can be done it lists itself with the channel of each
// case, looks again, and sleeps. From then on somebody may make a rendezvous with it; so before it tries again it ends
// the wait, after which no rendezvous can come, or one has come and is the result.
//
// Theorem (no lost wake-up). A case that becomes ready while the select sleeps wakes it, or another thread that tries
// or passes on. Proof: the listing comes before the look, and what makes the case ready before the look at the list
// (place_list.h): one sees the other. Who is told and takes another case, or goes, passes on.
//
// Two selects that list themselves for the same rendezvous at once both see the other and both end their waits to try:
// neither then finds the other. They go round again, each pausing for another while before it ends its wait, so that
// one meets the other's listing. In theory they may go on so: among selects that begin at once, a rendezvous is
// obstruction-free, not lock-free.
#ifndef INTERPD_CHANNELS_BASIC_SELECT_H_
#define INTERPD_CHANNELS_BASIC_SELECT_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "absl/container/inlined_vector.h"
#include "absl/types/span.h"
#include "channels/adaptive_spin.h"
#include "channels/channel.h"
#include "channels/select.h"
#include "channels/select_waiter.h"

namespace interpd::channels {

// Lends waiters, which must not be freed while anything may signal them. Specialised by tests for their Atom.
template <template <typename> class Atom>
struct SelectWaiters;

template <>
struct SelectWaiters<std::atomic> {
  // This thread's, for one select at a time; goes back to a pool when the thread ends.
  static BasicSelectWaiter<std::atomic>& Mine();
};

// A number of this thread's own sequence.
uint32_t SelectDice();

template <template <typename> class Atom>
class BasicSelect {
 public:
  BasicSelect(absl::Span<const SelectCase> cases, size_t* chosen)
      : cases_(cases), chosen_(*chosen), first_(cases.empty() ? 0 : Dice() % cases.size()) {}

  Outcome Run(const Wait& wait, WithDefault with_default) {
    Outcome outcome = Outcome::kEmpty;
    if (TryAll(&outcome)) return outcome;
    if (with_default == WithDefault::kYes) return Outcome::kEmpty;
    if (wait.deadline.Passed()) return Outcome::kTimeout;
    auto& waiter = SelectWaiters<Atom>::Mine();
    for (uint32_t round = 0;; ++round) {
      const WaitResult result = WaitOnce(waiter, wait, round, &outcome);
      if (outcome != Outcome::kEmpty) return outcome;
      const bool done = TryAll(&outcome);
      for (size_t i = 0; i < entries_.size(); ++i) {
        // Those not tried since they were told; to the others, passing on is harmless.
        if (told_[i] && done) cases_[i].channel->PassOn(cases_[i].direction);
      }
      if (done) return outcome;
      if (result == WaitResult::kTimeout) return Outcome::kTimeout;
      if (result == WaitResult::kInterrupted) return Outcome::kInterrupted;
    }
  }

 private:
  static constexpr bool kReal = std::is_same_v<Atom<int>, std::atomic<int>>;

  static uint32_t Dice() {
    if constexpr (kReal) return SelectDice();
    return 0;
  }

  // True: a case was done, or its channel is closed.
  bool TryAll(Outcome* outcome) {
    for (size_t i = 0; i < cases_.size(); ++i) {
      const size_t index = (first_ + i) % cases_.size();
      const SelectCase& one = cases_[index];
      const Outcome tried =
          one.direction == Direction::kSend ? one.channel->TrySend(*one.value) : one.channel->TryRecv(one.value);
      if (tried != Outcome::kDone && tried != Outcome::kClosed) continue;
      chosen_ = index;
      *outcome = tried;
      return true;
    }
    return false;
  }

  static WaitResult GivenUp(const Wait& wait) {
    if (wait.deadline.Passed()) return WaitResult::kTimeout;
    BasicInterrupt<Atom>* interrupt = InterruptOf<Atom>(wait);
    return interrupt != nullptr && interrupt->ticket() != wait.ticket ? WaitResult::kInterrupted
                                                                      : WaitResult::kNotified;
  }

  static void Pause(uint32_t rounds) {
    for (; rounds > 0; --rounds) CpuRelax();
  }

  // Lists the select, sleeps unless a try may succeed, takes it off the lists. *outcome is kDone if a rendezvous came.
  WaitResult WaitOnce(BasicSelectWaiter<Atom>& waiter, const Wait& wait, uint32_t round, Outcome* outcome) {
    const uint64_t version = waiter.Begin();
    entries_.clear();
    told_.assign(cases_.size(), false);
    for (size_t i = 0; i < cases_.size(); ++i) {
      entries_.push_back({.direction = cases_[i].direction,
                          .value = cases_[i].value,
                          .waiter = &waiter,
                          .wait_version = version,
                          .index = i});
    }
    for (size_t i = 0; i < cases_.size(); ++i) cases_[i].channel->Enlist(entries_[i]);
    bool may_try = false;
    for (size_t i = 0; i < cases_.size() && !may_try; ++i) may_try = cases_[i].channel->MayTry(entries_[i]);
    WaitResult result = WaitResult::kNotified;
    if (!may_try) {
      result = waiter.Sleep(wait);
    } else if (round > 0) {
      result = GivenUp(wait);
      // Another in the same state is to find this listing.
      if (kReal && round > 1) Pause(Dice() % (64u << (round < 8 ? round : 8)));
    }
    size_t met;
    const bool meeting = !waiter.End(&met);
    for (size_t i = 0; i < cases_.size(); ++i) told_[i] = cases_[i].channel->Delist(entries_[i]);
    if (meeting) {
      *outcome = Outcome::kDone;
      chosen_ = met;
      for (size_t i = 0; i < cases_.size(); ++i) {
        if (told_[i]) cases_[i].channel->PassOn(cases_[i].direction);
      }
    }
    return result;
  }

  const absl::Span<const SelectCase> cases_;
  size_t& chosen_;
  const size_t first_;
  absl::InlinedVector<SelectEntry, 4> entries_;
  absl::InlinedVector<bool, 4> told_;
};

}  // namespace interpd::channels

#endif  // INTERPD_CHANNELS_BASIC_SELECT_H_
