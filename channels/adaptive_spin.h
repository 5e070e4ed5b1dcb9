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
  static constexpr std::chrono::nanoseconds kMax = std::chrono::microseconds(60);

  // Polls `ready` within the budget. Returns whether it became true.
  template <typename Ready>
  bool Spin(Ready&& ready) {
    if (budget_ <= std::chrono::nanoseconds(0)) {
      // Try again now and then: the load may have changed.
      if (++skipped_ < kProbeEvery) return ready();
      skipped_ = 0;
      budget_ = kProbe;
    }
    // relaxed: a count of pollers, it orders nothing.
    if (pollers_.fetch_add(1, std::memory_order_relaxed) >= MaxPollers()) {
      pollers_.fetch_sub(1, std::memory_order_relaxed);
      return ready();
    }
    const auto start = std::chrono::steady_clock::now();
    auto elapsed = std::chrono::nanoseconds(0);
    bool hit = false;
    for (int round = 1; !(hit = ready()) && elapsed < budget_; ++round) {
      for (int i = 0; i < 4; ++i) CpuRelax();
      // Who else is to run on this core, perhaps the one that brings the work, runs now.
      if (round % 8 == 0) sched_yield();
      elapsed = std::chrono::steady_clock::now() - start;
    }
    pollers_.fetch_sub(1, std::memory_order_relaxed);
    if (hit) {
      budget_ = std::clamp(2 * elapsed + kProbe, budget_, kMax);
    } else {
      budget_ = budget_ / 2 < kProbe / 4 ? std::chrono::nanoseconds(0) : budget_ / 2;
    }
    return hit;
  }

 private:
  static constexpr std::chrono::nanoseconds kProbe = std::chrono::microseconds(10);
  static constexpr int kProbeEvery = 16;

  static int MaxPollers() {
    static const int cores = static_cast<int>(std::thread::hardware_concurrency());
    return std::max(cores - 1, 0);
  }

  static inline std::atomic<int> pollers_{0};

  std::chrono::nanoseconds budget_ = kMax;
  int skipped_ = 0;
};

}  // namespace interpd::channels

#endif  // INTERPD_CHANNELS_ADAPTIVE_SPIN_H_
