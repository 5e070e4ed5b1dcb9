// Gate: one thread waits until another opens it; the bare futex under host_probe's measurements.
#ifndef INTERPD_TESTS_BENCH_GATE_H_
#define INTERPD_TESTS_BENCH_GATE_H_

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>

namespace interpd::bench {

class Gate {
 public:
  void Open() {
    if (state_.exchange(kOpen, std::memory_order_acq_rel) == kAwaited) {
      syscall(SYS_futex, &state_, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
    }
  }

  // Waits for Open, then shuts the gate. Looks `spins` times before it sleeps.
  void Await(int spins) {
    for (int i = 0; i < spins; ++i) {
      if (state_.load(std::memory_order_relaxed) == kOpen) break;
      __builtin_ia32_pause();
    }
    uint32_t expected = kShut;
    state_.compare_exchange_strong(expected, kAwaited, std::memory_order_acq_rel);
    while (state_.load(std::memory_order_acquire) != kOpen) {
      syscall(SYS_futex, &state_, FUTEX_WAIT_PRIVATE, kAwaited, nullptr, nullptr, 0);
    }
    state_.store(kShut, std::memory_order_release);
  }

 private:
  enum : uint32_t { kShut, kOpen, kAwaited };
  std::atomic<uint32_t> state_{kShut};
};

}  // namespace interpd::bench

#endif  // INTERPD_TESTS_BENCH_GATE_H_
