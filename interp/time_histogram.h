// TimeHistogram: how many things took how long, in steps of two from 16 microseconds to 67 seconds.
//
// Who includes this: the interpreters' workers, and the daemon's counters of requests.
//
// Thread safety: one thread at a time records; any thread reads at any time, and may see a record half done: a count
// without its time.
#ifndef INTERPD_INTERP_TIME_HISTOGRAM_H_
#define INTERPD_INTERP_TIME_HISTOGRAM_H_

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstdint>

#include "absl/time/time.h"

namespace interpd::interp {

struct TimeCounts {
  static constexpr int kBuckets = 24;

  // The longest time that is counted in that bucket; of the last, infinite.
  static constexpr absl::Duration Bound(int bucket) {
    return bucket == kBuckets - 1 ? absl::InfiniteDuration() : absl::Microseconds(16) * (int64_t{1} << bucket);
  }

  void Add(const TimeCounts& other) {
    for (int i = 0; i < kBuckets; ++i) counts[i] += other.counts[i];
    sum += other.sum;
  }

  std::array<int64_t, kBuckets> counts{};  // not cumulative
  absl::Duration sum;
};

class TimeHistogram {
 public:
  void Record(absl::Duration time) {
    const int64_t ns = std::max<int64_t>(0, absl::ToInt64Nanoseconds(time));
    const int bucket = ns <= kFirstNs ? 0 : std::bit_width(static_cast<uint64_t>((ns - 1) / kFirstNs));
    Increase(counts_[std::min(bucket, TimeCounts::kBuckets - 1)], 1);
    Increase(sum_ns_, ns);
  }

  TimeCounts Read() const {
    TimeCounts result;
    for (int i = 0; i < TimeCounts::kBuckets; ++i) result.counts[i] = counts_[i].load(std::memory_order_relaxed);
    result.sum = absl::Nanoseconds(sum_ns_.load(std::memory_order_relaxed));
    return result;
  }

 private:
  static constexpr int64_t kFirstNs = 16'000;

  // Relaxed, and no read-modify-write: there is one writer, and numbers order nothing.
  static void Increase(std::atomic<int64_t>& number, int64_t by) {
    number.store(number.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
  }

  std::array<std::atomic<int64_t>, TimeCounts::kBuckets> counts_{};
  std::atomic<int64_t> sum_ns_{0};
};

}  // namespace interpd::interp

#endif  // INTERPD_INTERP_TIME_HISTOGRAM_H_
