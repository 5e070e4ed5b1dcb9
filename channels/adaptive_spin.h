// AdaptiveSpin: how long a thread should poll before it sleeps, learned from how often polling paid lately.
//
// Who includes this: those who wait on an EventCount. A futex wake costs 5 to 60 us, a hit while polling 0.2 us; but a
// thread that polls in vain takes a core from those who would bring it work. So: poll for about as long as recent waits
// took, never longer than kMax; stop when it has not paid; never let all cores poll; and give up at once when another
// thread turns out to want this core.
//
// Thread safety: all methods, any thread: the waiters of one channel may learn together. What they learn is a guess,
// and may be lost when two learn at once. The count of pollers is the process's.
#ifndef INTERPD_CHANNELS_ADAPTIVE_SPIN_H_
#define INTERPD_CHANNELS_ADAPTIVE_SPIN_H_

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <utility>

#include "channels/cpu_relax.h"

namespace interpd::channels {

class AdaptiveSpin {
 public:
  using Duration = std::chrono::nanoseconds;
  using Clock = std::chrono::steady_clock;

  // Covers the turn-round of a client that waits for each answer.
  static constexpr Duration kMax = std::chrono::microseconds(150);

  // Polls `ready` for a moment, if that has been enough lately: two threads that run at once pass something to and fro.
  // Nothing that others use is written, no clock is read, the core is not offered to others: at this speed it all
  // counts. Returns whether it became true.
  template <typename Ready>
  bool SpinBriefly(Ready&& ready) {
    // relaxed, here and below: guesses and a count of pollers; they order nothing.
    if (!brief_.load(std::memory_order_relaxed) || pollers_.load(std::memory_order_relaxed) >= MaxPollers()) {
      return ready();
    }
    for (int round = 0; round < kBriefRounds; ++round) {
      if (ready()) return true;
      CpuRelax();
    }
    brief_.store(false, std::memory_order_relaxed);
    return false;
  }

  // The calling thread has woken another out of the kernel.
  static void Woke() { woke_ = true; }

  // Whether there is no use in polling: after a pause this thread has woken another, probably the one that it will now
  // wait for. That one needs longer to wake than a sleep takes, and this very core if the kernel woke it here; a poller
  // would drive it to the other one, which is idle: 30 us instead of 7. A conversation without pauses wakes and polls.
  bool WaitsForSleeper() {
    if (!std::exchange(woke_, false)) return false;
    const int64_t last = last_end_.load(std::memory_order_relaxed);
    return Clock::now().time_since_epoch() - Duration(last) > kMax;
  }

  // Polls `ready` within the budget. Returns whether it became true.
  template <typename Ready>
  bool Spin(Ready&& ready) {
    if (SpinBriefly(ready)) return true;
    const Duration budget(budget_.load(std::memory_order_relaxed));
    if (budget <= Duration(0)) return false;
    if (pollers_.fetch_add(1, std::memory_order_relaxed) >= MaxPollers()) {
      pollers_.fetch_sub(1, std::memory_order_relaxed);
      return false;
    }
    const auto start = Clock::now();
    auto elapsed = Duration(0);
    bool hit = false;
    bool scarce = false;
    for (int round = 1; !(hit = ready()) && elapsed < budget && !scarce; ++round) {
      for (int i = 0; i < 4; ++i) CpuRelax();
      // Who else is to run on this core, perhaps the one that brings the work, runs now.
      const bool yield = round % 8 == 0;
      if (yield) sched_yield();
      const Duration before = elapsed;
      elapsed = Clock::now() - start;
      scarce = yield && elapsed - before > kOthersTurn;
    }
    pollers_.fetch_sub(1, std::memory_order_relaxed);
    if (hit) {
      Ended(start + elapsed);
      if (elapsed < kBrief) brief_.store(true, std::memory_order_relaxed);
      SetBudget(std::clamp(2 * elapsed + kLeast, budget, kMax));
    } else {
      SetBudget(budget / 2 < kLeast ? Duration(0) : budget / 2);
    }
    return hit;
  }

  // After a sleep. Two short ones in a row say that polling would have paid.
  void Slept(Clock::time_point start, Clock::time_point end = Clock::now()) {
    const Duration time = end - start;
    Ended(end);
    const int short_sleeps = time < kMax ? short_sleeps_.load(std::memory_order_relaxed) + 1 : 0;
    short_sleeps_.store(short_sleeps, std::memory_order_relaxed);
    if (short_sleeps < 2) return;
    SetBudget(std::clamp(2 * time, Duration(budget_.load(std::memory_order_relaxed)), kMax));
  }

 private:
  // About as long: 1 to 5 us for the rounds, as long as a pause of the processor takes.
  static constexpr Duration kBrief = std::chrono::microseconds(2);
  static constexpr int kBriefRounds = 100;
  static constexpr Duration kLeast = std::chrono::microseconds(5);
  // A yield takes 1 us when nobody else wants the core.
  static constexpr Duration kOthersTurn = std::chrono::microseconds(20);

  void Ended(Clock::time_point when) {
    last_end_.store(Duration(when.time_since_epoch()).count(), std::memory_order_relaxed);
  }
  void SetBudget(Duration budget) { budget_.store(budget.count(), std::memory_order_relaxed); }

  // One less than the cores that this process may use.
  static int MaxPollers() {
    static const int cores = [] {
      cpu_set_t set;
      return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    }();
    return std::max(cores - 1, 0);
  }

  static inline std::atomic<int> pollers_{0};
  static inline thread_local bool woke_ = false;

  std::atomic<int64_t> budget_{Duration(kMax).count()};
  std::atomic<int> short_sleeps_{0};
  std::atomic<bool> brief_{false};
  std::atomic<int64_t> last_end_{0};  // of the latest wait, by Clock
};

}  // namespace interpd::channels

#endif  // INTERPD_CHANNELS_ADAPTIVE_SPIN_H_
