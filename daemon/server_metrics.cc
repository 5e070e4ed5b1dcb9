#include "daemon/server_metrics.h"

#include <sys/resource.h>

#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "channels/names.h"
#include "daemon/interpreter_proto.h"
#include "daemon/jobs/job_engine.h"
#include "daemon/process_info.h"
#include "daemon/proto_time.h"
#include "daemon/rpc_counters.h"
#include "daemon/utf8.h"
#include "daemon/version.h"

namespace interpd::daemon {
namespace {

// Interpreters, and channels, with series of their own, so that a daemon of thousands does not flood whoever scrapes
// it. Gauges of the rest are summed up under kOthers; counters are not, since such a sum falls when one of them goes.
constexpr size_t kMaxLabelled = 200;
constexpr char kOthers[] = "(others)";

constexpr size_t kAtATime = 1000;

// Made for a job, under a name that never comes again: it has no series of its own.
bool IsOfJob(std::string_view name) { return channels::IdOf(name).starts_with("job-"); }

void CollectRequests(const ServerState& state, MetricsPage& page) {
  page.Gauge("interpd_rpcs_in_flight", "Requests that have begun and not ended.", static_cast<double>(state.calls));
  state.rpc_counters.ForEach([&](std::string_view method, const RpcCounters::Method& counters) {
    for (size_t code = 0; code < counters.ended.size(); ++code) {
      if (counters.ended[code] == 0) continue;
      page.Counter(
          "interpd_rpcs_total", "Requests that have ended, by method and status.",
          static_cast<double>(counters.ended[code]),
          {{"method", std::string(method)}, {"code", absl::StatusCodeToString(static_cast<absl::StatusCode>(code))}});
    }
  });
  state.rpc_counters.ForEach([&](std::string_view method, const RpcCounters::Method& counters) {
    page.Histogram("interpd_rpc_duration_seconds", "From the arrival of a request to its end, by method.",
                   counters.times.Read(), {{"method", std::string(method)}});
  });
}

void CollectInterpreters(const ServerState& state, MetricsPage& page) {
  interp::HostInfo host = state.registry.info();
  std::map<std::string, double> states;
  for (int i = v1::Interpreter::State_MIN; i <= v1::Interpreter::State_MAX; ++i) {
    if (i != v1::Interpreter::STATE_UNSPECIFIED && i != v1::Interpreter::CLOSED && i != v1::Interpreter::FAILED) {
      states[absl::AsciiStrToLower(v1::Interpreter::State_Name(static_cast<v1::Interpreter::State>(i)))] = 0;
    }
  }
  struct One {
    std::string name;
    double pending = 0, completed = 0, cpu_seconds = 0, memory_bytes = 0;
  };
  std::vector<One> ones;
  One others{.name = kOthers};
  for (std::string after;;) {
    std::vector<std::shared_ptr<interp::Interpreter>> page_of = state.registry.List(after, kAtATime);
    for (const auto& interpreter : page_of) {
      interp::InterpreterInfo info = interpreter->info();
      ++states[absl::AsciiStrToLower(v1::Interpreter::State_Name(EncodeState(info.state)))];
      const bool has_series = ones.size() < kMaxLabelled && !IsOfJob(info.name);
      if (has_series) ones.push_back({.name = info.name});
      One& one = has_series ? ones.back() : others;
      one.pending += static_cast<double>(info.pending_count);
      one.completed += static_cast<double>(info.completed_count);
      one.cpu_seconds += absl::ToDoubleSeconds(info.cpu_time);
      one.memory_bytes += static_cast<double>(info.memory_bytes);
    }
    if (page_of.size() < kAtATime) break;
    after = page_of.back()->name();
  }
  // They are in no list any more.
  states["stuck"] += static_cast<double>(host.stuck_count);
  if (host.interpreter_count > ones.size()) ones.push_back(others);

  for (const auto& [name, count] : states) {
    page.Gauge("interpd_interpreters", "Interpreters, by state. A stuck one did not end and takes its memory along.",
               count, {{"state", name}});
  }
  page.Gauge("interpd_interpreters_limit", "Interpreters that may be at once.",
             static_cast<double>(state.options.max_interpreters));
  for (const One& one : ones) {
    page.Gauge("interpd_interpreter_pending", "Execs and calls that wait or run in an interpreter.", one.pending,
               {{"interpreter", one.name}});
  }
  for (const One& one : ones) {
    if (one.name == kOthers) continue;
    page.Counter("interpd_interpreter_completed_total", "Execs and calls that have ended in an interpreter.",
                 one.completed, {{"interpreter", one.name}});
  }
  for (const One& one : ones) {
    if (one.name == kOthers) continue;
    page.Counter("interpd_interpreter_cpu_seconds_total", "CPU time of an interpreter's main thread.", one.cpu_seconds,
                 {{"interpreter", one.name}});
  }
  for (const One& one : ones) {
    page.Gauge("interpd_interpreter_memory_bytes", "Memory of an interpreter's Python objects.", one.memory_bytes,
               {{"interpreter", one.name}});
  }
  interp::WorkTimes times = state.registry.work_times();
  page.Gauge("interpd_work_pending", "Execs and calls that wait or run.", static_cast<double>(host.pending_count));
  page.Counter("interpd_work_completed_total", "Execs and calls that have ended.",
               static_cast<double>(host.completed_count));
  page.Counter("interpd_work_exceptions_total", "Execs and calls that have ended with an exception.",
               static_cast<double>(times.raised_count));
  page.Histogram("interpd_work_queue_seconds", "How long execs and calls waited for their interpreter.", times.queue);
  page.Histogram("interpd_work_run_seconds", "How long execs and calls ran.", times.run);
}

void CollectChannels(const ServerState& state, MetricsPage& page) {
  struct One {
    std::string name;
    double depth = 0, sent = 0, received = 0, returned = 0;
  };
  std::vector<One> ones;
  One others{.name = kOthers};
  size_t count = 0;
  for (std::string after;;) {
    std::vector<channels::Ref<channels::Channel>> page_of = state.channels.List(after, kAtATime);
    for (const channels::Ref<channels::Channel>& channel : page_of) {
      ++count;
      channels::ChannelStats stats = channel->Stats();
      if (count <= kMaxLabelled) ones.push_back({.name = std::string(channel->name())});
      One& one = count <= kMaxLabelled ? ones.back() : others;
      one.depth += static_cast<double>(stats.size);
      one.sent += static_cast<double>(stats.sent);
      one.received += static_cast<double>(stats.received);
      one.returned += static_cast<double>(stats.returned);
    }
    if (page_of.size() < kAtATime) break;
    after = page_of.back()->name();
  }
  if (count > kMaxLabelled) ones.push_back(others);
  page.Gauge("interpd_channels", "Channels that have a name.", static_cast<double>(count));
  page.Gauge("interpd_unacknowledged_values", "Values that are with clients, and not acknowledged.",
             static_cast<double>(state.channel_clients.unacknowledged_total()));
  for (const One& one : ones) {
    page.Gauge("interpd_channel_depth", "Values in a channel.", one.depth, {{"channel", one.name}});
  }
  for (const One& one : ones) {
    if (one.name == kOthers) continue;
    page.Counter("interpd_channel_sent_total", "Values that a channel has taken in.", one.sent,
                 {{"channel", one.name}});
  }
  for (const One& one : ones) {
    if (one.name == kOthers) continue;
    page.Counter("interpd_channel_received_total", "Values that a channel has given out.", one.received,
                 {{"channel", one.name}});
  }
  for (const One& one : ones) {
    if (one.name == kOthers) continue;
    page.Counter("interpd_channel_returned_total",
                 "Values that a channel has got back, since who received them did not acknowledge them.", one.returned,
                 {{"channel", one.name}});
  }
}

void CollectConstants(const ServerState& state, MetricsPage& page) {
  const interp::ConstantTotals totals = state.registry.constants().totals();
  page.Gauge("interpd_constants", "Constants that are not deleted.", static_cast<double>(totals.count));
  page.Gauge("interpd_constant_bytes", "Memory of the constants' current versions.",
             static_cast<double>(totals.byte_count));
  page.Gauge("interpd_retired_constant_bytes", "Memory of older versions that something still holds.",
             static_cast<double>(totals.retired_bytes));
}

void CollectProcess(const ServerState& state, MetricsPage& page) {
  page.Gauge("interpd_build_info", "Always 1; which interpd and which Python this is.", 1,
             {{"version", kVersion}, {"python", ToValidUtf8(state.registry.info().python_version)}});
  page.Gauge("interpd_start_time_seconds", "When the daemon was started, in seconds since 1970.",
             absl::ToDoubleSeconds(state.start_time - absl::UnixEpoch()));
  page.Gauge("interpd_draining", "1 while the daemon drains.", state.draining ? 1 : 0);
  ProcessInfo process = ReadProcessInfo();
  page.Gauge("process_resident_memory_bytes", "Resident memory of the daemon, all interpreters included.",
             static_cast<double>(process.rss_bytes));
  page.Gauge("process_open_fds", "Open files of the daemon itself; interpreters have tables of their own.",
             static_cast<double>(process.open_fds));
  page.Gauge("process_threads", "Threads.", static_cast<double>(process.threads));
  rusage usage;
  if (getrusage(RUSAGE_SELF, &usage) == 0) {
    page.Counter(
        "process_cpu_seconds_total", "CPU time of the daemon, all interpreters included.",
        absl::ToDoubleSeconds(absl::DurationFromTimeval(usage.ru_utime) + absl::DurationFromTimeval(usage.ru_stime)));
  }
}

void AddJobs(const JobStats& stats, MetricsPage& page) {
  std::map<std::string, double> states;
  for (int i = v1::Job::State_MIN; i <= v1::Job::State_MAX; ++i) {
    if (i != v1::Job::STATE_UNSPECIFIED && v1::Job::State_IsValid(i)) {
      states[absl::AsciiStrToLower(v1::Job::State_Name(static_cast<v1::Job::State>(i)))] = 0;
    }
  }
  for (const auto& [state, count] : stats.jobs) {
    states[absl::AsciiStrToLower(v1::Job::State_Name(state))] = static_cast<double>(count);
  }
  for (const auto& [state, count] : states) {
    page.Gauge("interpd_jobs", "Jobs in the journal, by state.", count, {{"state", state}});
  }
  page.Gauge("interpd_job_tasks_running", "Tasks of jobs that run.", static_cast<double>(stats.running_tasks));
  page.Gauge("interpd_job_interpreters", "Interpreters that jobs have.", static_cast<double>(stats.interpreters));
  const std::pair<const char*, int64_t> outcomes[] = {{"succeeded", stats.succeeded_tasks},
                                                      {"failed", stats.failed_tasks},
                                                      {"retried", stats.retried_tasks},
                                                      {"interrupted", stats.interrupted_tasks}};
  for (const auto& [outcome, count] : outcomes) {
    page.Counter("interpd_job_attempts_total", "Attempts at tasks of jobs that have ended, by what became of them.",
                 static_cast<double>(count), {{"outcome", outcome}});
  }
  page.Gauge("interpd_job_journal_bytes", "Size of the journal of jobs.", static_cast<double>(stats.journal_bytes));
  page.Gauge("interpd_job_journal_works", "0 while the journal cannot be written, as on a full disk.",
             stats.journal_works ? 1 : 0);
}

}  // namespace

void CollectMetrics(ServerState& state, absl::AnyInvocable<void(MetricsPage page) &&> done) {
  MetricsPage page;
  CollectProcess(state, page);
  CollectRequests(state, page);
  CollectInterpreters(state, page);
  CollectChannels(state, page);
  CollectConstants(state, page);
  for (MetricsSource* source : state.metrics_sources) source->Collect(page);
  // While the server ends, the engine may answer no more.
  if (state.options.jobs == nullptr || state.draining) return std::move(done)(std::move(page));
  state.options.jobs->Stats(
      [&loop = state.loop, page = std::move(page), done = std::move(done)](JobStats stats) mutable {
        loop.Post([page = std::move(page), done = std::move(done), stats = std::move(stats)]() mutable {
          AddJobs(stats, page);
          std::move(done)(std::move(page));
        });
      });
}

void EncodeStats(const MetricsPage& page, v1::Stats* stats) {
  EncodeTime(absl::Now(), stats->mutable_time());
  for (const MetricFamily& family : page.families()) {
    v1::Metric* metric = stats->add_metrics();
    metric->set_name(family.name);
    metric->set_help(family.help);
    metric->set_kind(family.kind == MetricKind::kCounter ? v1::Metric::COUNTER
                     : family.kind == MetricKind::kGauge ? v1::Metric::GAUGE
                                                         : v1::Metric::HISTOGRAM);
    for (const MetricSample& sample : family.samples) {
      v1::MetricSample* encoded = metric->add_samples();
      for (const auto& [name, value] : sample.labels) (*encoded->mutable_labels())[name] = value;
      if (family.kind != MetricKind::kHistogram) {
        encoded->set_value(sample.value);
        continue;
      }
      v1::Histogram* histogram = encoded->mutable_histogram();
      for (int i = 0; i < interp::TimeCounts::kBuckets; ++i) {
        histogram->add_bounds(absl::ToDoubleSeconds(interp::TimeCounts::Bound(i)));
        histogram->add_counts(sample.times.counts[i]);
      }
      histogram->set_sum(absl::ToDoubleSeconds(sample.times.sum));
    }
  }
}

}  // namespace interpd::daemon
