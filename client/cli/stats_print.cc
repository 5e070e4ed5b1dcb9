#include "client/cli/stats_print.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "client/cli/print.h"

namespace interpd::client {
namespace {

// "interpd_rpc_duration_seconds" -> "rpc_duration"
std::string_view ShortName(std::string_view name) {
  absl::ConsumePrefix(&name, "interpd_");
  for (std::string_view suffix : {"_total", "_seconds", "_bytes"}) absl::ConsumeSuffix(&name, suffix);
  return name;
}

bool IsTime(const v1::Metric& metric) {
  return absl::StrContains(metric.name(), "_seconds") || metric.kind() == v1::Metric::HISTOGRAM;
}

std::string ValueOf(const v1::Metric& metric, double value, absl::Time now) {
  if (absl::EndsWith(metric.name(), "_time_seconds")) {
    return absl::StrCat(ShortDuration(now - absl::UnixEpoch() - absl::Seconds(value)), " ago");
  }
  if (IsTime(metric)) return ShortDuration(absl::Seconds(value));
  if (absl::StrContains(metric.name(), "_bytes")) return ShortBytes(static_cast<int64_t>(value));
  return absl::StrFormat("%.15g", value);
}

int64_t CountOf(const v1::Histogram& histogram) {
  int64_t count = 0;
  for (int64_t one : histogram.counts()) count += one;
  return count;
}

// The bound of the bucket in which that share of the times lies: "<65ms".
std::string Quantile(const v1::Histogram& histogram, double share) {
  int64_t count = CountOf(histogram);
  if (count == 0) return "-";
  int64_t below = 0;
  for (int i = 0; i < histogram.counts_size() && i < histogram.bounds_size(); ++i) {
    below += histogram.counts(i);
    if (static_cast<double>(below) < share * static_cast<double>(count)) continue;
    if (std::isfinite(histogram.bounds(i))) return absl::StrCat("<", ShortDuration(absl::Seconds(histogram.bounds(i))));
    return i == 0 ? "-" : absl::StrCat(">", ShortDuration(absl::Seconds(histogram.bounds(i - 1))));
  }
  return "-";
}

std::string Mean(const v1::Histogram& histogram) {
  int64_t count = CountOf(histogram);
  return count == 0 ? "-" : ShortDuration(absl::Seconds(histogram.sum() / static_cast<double>(count)));
}

using Labels = std::map<std::string, std::string>;

// One table: what has these label names.
struct Group {
  std::vector<std::string> names;
  std::vector<std::string> columns;
  std::map<std::vector<std::string>, std::map<std::string, std::string>> rows;  // values of labels -> column -> cell

  void Set(const std::vector<std::string>& row, const std::string& column, std::string cell) {
    if (std::find(columns.begin(), columns.end(), column) == columns.end()) columns.push_back(column);
    rows[row][column] = std::move(cell);
  }
};

std::string Heading(std::string_view name) { return absl::AsciiStrToUpper(absl::StrReplaceAll(name, {{"_", " "}})); }

}  // namespace

std::string StatsTables(const v1::Stats& stats) {
  const absl::Time now = absl::FromUnixSeconds(stats.time().seconds()) + absl::Nanoseconds(stats.time().nanos());
  std::vector<std::pair<std::string, std::string>> fields;
  std::vector<Group> groups;
  for (const v1::Metric& metric : stats.metrics()) {
    for (const v1::MetricSample& sample : metric.samples()) {
      const Labels labels(sample.labels().begin(), sample.labels().end());
      std::vector<std::string> names, values;
      for (const auto& [name, value] : labels) {
        names.push_back(name);
        values.push_back(value);
      }
      const std::string name(ShortName(metric.name()));
      if (labels.empty() && metric.kind() == v1::Metric::HISTOGRAM) {
        const v1::Histogram& histogram = sample.histogram();
        fields.emplace_back(Heading(name).substr(0, 1) + absl::StrReplaceAll(name.substr(1), {{"_", " "}}),
                            absl::StrCat("mean ", Mean(histogram), ", median ", Quantile(histogram, 0.5), ", 99% ",
                                         Quantile(histogram, 0.99), " of ", CountOf(histogram)));
        continue;
      }
      if (labels.empty()) {
        fields.emplace_back(Heading(name).substr(0, 1) + absl::StrReplaceAll(name.substr(1), {{"_", " "}}),
                            ValueOf(metric, sample.value(), now));
        continue;
      }
      auto group = std::find_if(groups.begin(), groups.end(), [&](const Group& g) { return g.names == names; });
      if (group == groups.end()) group = groups.insert(groups.end(), Group{.names = names});
      if (metric.kind() == v1::Metric::HISTOGRAM) {
        group->Set(values, "COUNT", absl::StrCat(CountOf(sample.histogram())));
        group->Set(values, "MEAN", Mean(sample.histogram()));
        group->Set(values, "MEDIAN", Quantile(sample.histogram(), 0.5));
        group->Set(values, "99%", Quantile(sample.histogram(), 0.99));
      } else {
        // "interpreter_pending" of the label "interpreter" is its "pending".
        std::string_view column = name;
        for (const std::string& label : names) absl::ConsumePrefix(&column, absl::StrCat(label, "_"));
        group->Set(values, Heading(column), ValueOf(metric, sample.value(), now));
      }
    }
  }
  std::string result = Fields(fields);
  for (const Group& group : groups) {
    std::vector<std::vector<std::string>> table(1);
    for (const std::string& name : group.names) table[0].push_back(Heading(name));
    table[0].insert(table[0].end(), group.columns.begin(), group.columns.end());
    for (const auto& [labels, cells] : group.rows) {
      std::vector<std::string> row = labels;
      for (const std::string& column : group.columns) {
        auto cell = cells.find(column);
        row.push_back(cell == cells.end() ? "-" : cell->second);
      }
      table.push_back(std::move(row));
    }
    absl::StrAppend(&result, "\n", Table(table));
  }
  return result;
}

}  // namespace interpd::client
