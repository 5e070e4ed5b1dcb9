// FutexPartner: a second thread that answers each opening of one gate by opening another, and never spins. The bare
// futex round trip beside which waking costs are measured.
#ifndef INTERPD_TESTS_BENCH_FUTEX_PARTNER_H_
#define INTERPD_TESTS_BENCH_FUTEX_PARTNER_H_

#include <atomic>
#include <thread>

#include "tests/bench/gate.h"

namespace interpd::bench {

class FutexPartner {
 public:
  FutexPartner() {
    thread_ = std::thread([this] {
      while (true) {
        ping_.Await(0);
        if (stop_) return;
        pong_.Open();
      }
    });
  }
  ~FutexPartner() {
    stop_ = true;
    ping_.Open();
    thread_.join();
  }
  void RoundTrip() {
    ping_.Open();
    pong_.Await(0);
  }

 private:
  Gate ping_, pong_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace interpd::bench

#endif  // INTERPD_TESTS_BENCH_FUTEX_PARTNER_H_
