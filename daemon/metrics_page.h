// MetricsPage: what is counted and measured at one moment, before it becomes Prometheus's text or an answer of
// Admin.GetStats.
//
// Who includes this: whoever has something to count. It implements MetricsSource and is put among the sources of the
// server's state; nothing else has to know of it.
//
// Names are those of Prometheus: interpd_THING_UNIT, and counters end in _total. A label that clients choose the values
// of must be cut off at some number of them, since each makes a series that is kept for long.
#ifndef INTERPD_DAEMON_METRICS_PAGE_H_
#define INTERPD_DAEMON_METRICS_PAGE_H_

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "interp/time_histogram.h"

namespace interpd::daemon {

enum class MetricKind { kCounter, kGauge, kHistogram };

using MetricLabels = std::vector<std::pair<std::string, std::string>>;

struct MetricSample {
  MetricLabels labels;
  double value = 0;
  interp::TimeCounts times;  // of a histogram; in seconds
};

struct MetricFamily {
  std::string name;
  std::string help;
  MetricKind kind;
  std::vector<MetricSample> samples;
};

class MetricsPage {
 public:
  // The samples of a name come one after the other.
  void Counter(std::string_view name, std::string_view help, double value, MetricLabels labels = {}) {
    Family(name, help, MetricKind::kCounter).samples.push_back({std::move(labels), value, {}});
  }
  void Gauge(std::string_view name, std::string_view help, double value, MetricLabels labels = {}) {
    Family(name, help, MetricKind::kGauge).samples.push_back({std::move(labels), value, {}});
  }
  void Histogram(std::string_view name, std::string_view help, const interp::TimeCounts& times,
                 MetricLabels labels = {}) {
    Family(name, help, MetricKind::kHistogram).samples.push_back({std::move(labels), 0, times});
  }

  // Takes out what has none of these names.
  void Keep(const std::vector<std::string_view>& names) {
    std::erase_if(families_, [&names](const MetricFamily& family) {
      return std::find(names.begin(), names.end(), family.name) == names.end();
    });
  }

  const std::vector<MetricFamily>& families() const { return families_; }

 private:
  MetricFamily& Family(std::string_view name, std::string_view help, MetricKind kind) {
    if (families_.empty() || families_.back().name != name) {
      families_.push_back({std::string(name), std::string(help), kind, {}});
    }
    return families_.back();
  }

  std::vector<MetricFamily> families_;
};

class MetricsSource {
 public:
  // In the event loop: must not block.
  virtual void Collect(MetricsPage& page) = 0;

 protected:
  ~MetricsSource() = default;
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_METRICS_PAGE_H_
