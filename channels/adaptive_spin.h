// AdaptiveSpin: how long a thread should poll before it sleeps, learned from how often polling paid lately.
//
// Who includes this: consumers that wait on an EventCount. A futex wake costs 5 to 60 us, a hit while polling 0.2 us;
// but a thread that polls in vain takes a core from those who would bring it work. So: poll for about as long as
// recent waits took, never longer than kMax; stop when it has not paid; and never let all cores poll.
//
// Thread safety: one object belongs to one thread; the count of pollers is the process's.
#ifndef INTERPD_CHANNELS_ADAPTIVE_SPIN_H_
#define INTERPD_CHANNELS_ADAPTIVE_SPIN_H_

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>

namespace interpd::channels {

inline void CpuRelax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

class AdaptiveSpin {
 public:
  using Duration = std::chrono::nanoseconds;
  using Clock = std::chrono::steady_clock;

  // Covers the turn-round of a client that waits for each answer.
  static constexpr Duration kMax = std::chrono::microseconds(150);

  // Polls `ready` within the budget. Returns whether it became true.
  template <typename Ready>
  bool Spin(Ready&& ready) {
    if (budget_ <= Duration(0)) return ready();
    // relaxed: a count of pollers, it orders nothing.
    if (pollers_.fetch_add(1, std::memory_order_relaxed) >= MaxPollers()) {
      pollers_.fetch_sub(1, std::memory_order_relaxed);
      return ready();
    }
    const auto start = Clock::now();
    auto elapsed = Duration(0);
    bool hit = false;
    for (int round = 1; !(hit = ready()) && elapsed < budget_; ++round) {
      for (int i = 0; i < 4; ++i) CpuRelax();
      // Who else is to run on this core, perhaps the one that brings the work, runs now.
      if (round % 8 == 0) sched_yield();
      elapsed = Clock::now() - start;
    }
    pollers_.fetch_sub(1, std::memory_order_relaxed);
    if (hit) {
      budget_ = std::clamp(2 * elapsed + kLeast, budget_, kMax);
    } else {
      budget_ = budget_ / 2 < kLeast ? Duration(0) : budget_ / 2;
    }
    return hit;
  }

  // After a sleep: it took so long. Two short ones in a row say that polling would have paid.
  void Slept(Duration time) {
    short_sleeps_ = time < kMax ? short_sleeps_ + 1 : 0;
    if (short_sleeps_ >= 2) budget_ = std::clamp(2 * time, budget_, kMax);
  }

 private:
  static constexpr Duration kLeast = std::chrono::microseconds(5);

  static int MaxPollers() {
    static const int cores = static_cast<int>(std::thread::hardware_concurrency());
    return std::max(cores - 1, 0);
  }

  static inline std::atomic<int> pollers_{0};

  Duration budget_ = kMax;
  int short_sleeps_ = 0;
};

}  // namespace interpd::channels

#endif  // INTERPD_CHANNELS_ADAPTIVE_SPIN_H_
