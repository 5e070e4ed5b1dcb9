// Medians and percentiles of samples.
#ifndef INTERPD_TESTS_BENCH_STATISTICS_H_
#define INTERPD_TESTS_BENCH_STATISTICS_H_

#include <algorithm>
#include <cstddef>
#include <vector>

namespace interpd::bench {

// The sample below which `part` (0 to 1) of all lie; 0 when there is none.
inline double Percentile(std::vector<double> samples, double part) {
  if (samples.empty()) return 0;
  const size_t index = std::min(samples.size() - 1, static_cast<size_t>(part * samples.size()));
  std::nth_element(samples.begin(), samples.begin() + index, samples.end());
  return samples[index];
}

inline double Median(std::vector<double> samples) { return Percentile(std::move(samples), 0.5); }

// One number a round for ours and for the peer. The ratio is the median of the rounds' own ratios, so that a machine
// that turns slow for a while slows both sides of a round alike.
struct Pairs {
  std::vector<double> ours;
  std::vector<double> peer;

  void Add(double our_value, double peer_value) {
    ours.push_back(our_value);
    peer.push_back(peer_value);
  }
  double ratio() const {
    std::vector<double> ratios;
    for (size_t i = 0; i < ours.size(); ++i) ratios.push_back(ours[i] / peer[i]);
    return Median(ratios);
  }
};

}  // namespace interpd::bench

#endif  // INTERPD_TESTS_BENCH_STATISTICS_H_
