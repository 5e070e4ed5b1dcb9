#include "daemon/metrics_exposer.h"

#include <prometheus/client_metric.h>
#include <prometheus/collectable.h>
#include <prometheus/exposer.h>
#include <prometheus/metric_family.h>
#include <prometheus/metric_type.h>

#include <exception>
#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "daemon/metrics_page.h"

namespace interpd::daemon {
namespace {

prometheus::ClientMetric::Histogram Encode(const interp::TimeCounts& times) {
  prometheus::ClientMetric::Histogram result;
  for (int i = 0; i < interp::TimeCounts::kBuckets; ++i) {
    result.sample_count += static_cast<uint64_t>(times.counts[i]);
    absl::Duration bound = interp::TimeCounts::Bound(i);
    result.bucket.push_back({.cumulative_count = result.sample_count,
                             .upper_bound = bound == absl::InfiniteDuration() ? std::numeric_limits<double>::infinity()
                                                                              : absl::ToDoubleSeconds(bound)});
  }
  result.sample_sum = absl::ToDoubleSeconds(times.sum);
  return result;
}

prometheus::MetricFamily Encode(const MetricFamily& family) {
  prometheus::MetricFamily result;
  result.name = family.name;
  result.help = family.help;
  result.type = family.kind == MetricKind::kCounter ? prometheus::MetricType::Counter
                : family.kind == MetricKind::kGauge ? prometheus::MetricType::Gauge
                                                    : prometheus::MetricType::Histogram;
  for (const MetricSample& sample : family.samples) {
    prometheus::ClientMetric metric;
    for (const auto& [name, value] : sample.labels) metric.label.push_back({.name = name, .value = value});
    switch (family.kind) {
      case MetricKind::kCounter: metric.counter.value = sample.value; break;
      case MetricKind::kGauge: metric.gauge.value = sample.value; break;
      case MetricKind::kHistogram: metric.histogram = Encode(sample.times); break;
    }
    result.metric.push_back(std::move(metric));
  }
  return result;
}

class Collected : public prometheus::Collectable {
 public:
  explicit Collected(Server& server) : server_(server) {}

  std::vector<prometheus::MetricFamily> Collect() const override {
    MetricsPage page = server_.Metrics();
    std::vector<prometheus::MetricFamily> families;
    for (const MetricFamily& family : page.families()) families.push_back(Encode(family));
    return families;
  }

 private:
  Server& server_;
};

class Impl : public MetricsExposer {
 public:
  // Throws what the library throws.
  explicit Impl(const std::string& address) : exposer_(address, /*num_threads=*/2) {
    address_ = absl::StrCat(address.substr(0, address.rfind(':')), ":", exposer_.GetListeningPorts().front());
  }

  void Expose(Server& server) override {
    collected_ = std::make_shared<Collected>(server);
    exposer_.RegisterCollectable(collected_);
  }
  std::string address() const override { return address_; }

 private:
  std::shared_ptr<Collected> collected_;
  prometheus::Exposer exposer_;
  std::string address_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<MetricsExposer>> MetricsExposer::Listen(const std::string& address) {
  try {  // the library reports by exceptions
    return std::make_unique<Impl>(address);
  } catch (const std::exception& error) {
    return absl::FailedPreconditionError(
        absl::StrCat("metrics.listen: cannot listen on ", address, ": ", error.what()));
  }
}

}  // namespace interpd::daemon
