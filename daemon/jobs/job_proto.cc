#include "daemon/jobs/job_proto.h"

#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "daemon/errors.h"
#include "daemon/interpreter_proto.h"
#include "daemon/jobs/channel_references.h"
#include "daemon/jobs/cron.h"
#include "daemon/proto_time.h"
#include "daemon/value_batch.h"
#include "interp/interpreter_registry.h"

namespace interpd::daemon {
namespace {

constexpr size_t kMaxDisplayNameBytes = 800;  // 200 characters
constexpr size_t kMaxNameBytes = 4096;
constexpr int kMaxArgs = 10'000;
constexpr int kMaxAfter = 1000;
constexpr absl::Duration kLongestTimeout = absl::Hours(24 * 365);
constexpr absl::Duration kLongestBackoff = absl::Hours(1);
constexpr int kDefaultInterruptions = 10;
constexpr int64_t kDefaultLogBytes = int64_t{1} << 20;
constexpr int64_t kMaxLogBytes = int64_t{64} << 20;

constexpr size_t kBatchValues = 1000;
constexpr size_t kBatchBytes = 256 << 10;

void EncodeTimeIfSet(absl::Time time, google::protobuf::Timestamp* (v1::Job::*field)(), v1::Job* out) {
  if (time != kNoTime) EncodeTime(time, (out->*field)());
}

bool IsDuration(const google::protobuf::Duration& duration, absl::Duration low, absl::Duration high) {
  if (duration.nanos() <= -1'000'000'000 || duration.nanos() >= 1'000'000'000) return false;
  const absl::Duration value = absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
  return value >= low && value <= high;
}

// Checks one field after the other, and remembers the first that is wrong.
class Checker {
 public:
  explicit Checker(size_t position) : prefix_(absl::StrCat("jobs[", position, "].")) {}

  void Require(bool holds, std::string_view field, std::string_view problem) {
    if (!holds && status_.ok()) status_ = InvalidField(absl::StrCat(prefix_, field), problem);
  }
  void Take(absl::Status status) {
    if (status_.ok()) status_ = std::move(status);
  }
  const std::string& prefix() const { return prefix_; }
  const absl::Status& status() const { return status_; }

 private:
  const std::string prefix_;
  absl::Status status_;
};

void CheckText(std::string_view text, size_t max_bytes, std::string_view field, Checker& check) {
  check.Require(text.size() <= max_bytes, field, absl::StrCat("is longer than ", max_bytes, " bytes"));
  check.Require(!absl::StrContains(text, '\0'), field, "holds a NUL character");
}

void CheckTimes(const v1::JobSpec& spec, Checker& check) {
  if (spec.has_timeout()) {
    check.Require(IsDuration(spec.timeout(), absl::Nanoseconds(1), kLongestTimeout), "timeout",
                  "must be above 0 and at most a year");
  }
  if (spec.has_backoff()) {
    check.Require(IsDuration(spec.backoff(), absl::ZeroDuration(), kLongestBackoff), "backoff", "must be 0 to 1 hour");
  }
  if (spec.has_start_time()) {
    const auto& time = spec.start_time();
    check.Require(time.nanos() >= 0 && time.nanos() < 1'000'000'000 && time.seconds() > -62'135'596'801 &&
                      time.seconds() < 253'402'300'800,
                  "start_time", "is no valid time");
  }
  if (!spec.cron().empty()) {
    absl::StatusOr<Cron> cron = Cron::Parse(spec.cron());
    check.Require(cron.ok(), "cron", cron.status().message());
    check.Require(spec.after().empty() && spec.after_submitted().empty(), "cron",
                  "cannot be together with other jobs to wait for");
  }
}

void CheckAfter(const v1::JobSpec& spec, size_t position, Checker& check) {
  check.Require(spec.after_size() + spec.after_submitted_size() <= kMaxAfter, "after",
                absl::StrCat("names more than ", kMaxAfter, " jobs"));
  absl::flat_hash_set<std::string_view> named;
  for (int i = 0; i < spec.after_size(); ++i) {
    check.Take(ParseJobName(spec.after(i), absl::StrCat(check.prefix(), "after[", i, "]")).status());
    check.Require(named.insert(spec.after(i)).second, absl::StrCat("after[", i, "]"), "is there twice");
  }
  absl::flat_hash_set<int> positions;
  for (int other : spec.after_submitted()) {
    check.Require(positions.insert(other).second, "after_submitted", absl::StrCat("has ", other, " twice"));
    check.Require(other >= 0 && static_cast<size_t>(other) < position, "after_submitted",
                  absl::StrCat("is ", other, ", which is no position before this job's, ", position));
  }
  check.Require(!spec.results_of_after() || spec.after_size() + spec.after_submitted_size() > 0, "results_of_after",
                "needs jobs in `after`");
}

void CheckNumbers(const v1::JobSpec& spec, Checker& check) {
  const auto within = [&](int64_t value, int64_t low, int64_t high, std::string_view field) {
    check.Require(value >= low && value <= high, field, absl::StrCat("must be ", low, " to ", high));
  };
  within(spec.parallel(), 0, 1024, "parallel");
  within(spec.retries(), 0, 1000, "retries");
  within(spec.priority(), -100, 100, "priority");
  within(spec.max_interruptions(), 0, 1000, "max_interruptions");
  within(spec.log_limit_bytes(), 0, kMaxLogBytes, "log_limit_bytes");
  if (spec.has_range()) {
    const int64_t begin = spec.range().begin(), end = spec.range().end();
    // As unsigned: no difference of two int64 is out of range then.
    const uint64_t count = static_cast<uint64_t>(end) - static_cast<uint64_t>(begin);
    check.Require(begin <= end, "range", "ends before it begins");
    check.Require(begin > end || count < static_cast<uint64_t>(kMaxTasks), "range",
                  absl::StrCat("is more than ", kMaxTasks - 1, " numbers, which is as many tasks as a job may have"));
  }
}

void FillIn(v1::JobSpec& spec) {
  if (spec.script_name().empty()) spec.set_script_name("script.py");
  if (spec.parallel() == 0) spec.set_parallel(1);
  if (!spec.has_backoff()) spec.mutable_backoff()->set_seconds(1);
  if (spec.max_interruptions() == 0) spec.set_max_interruptions(kDefaultInterruptions);
  if (spec.log_limit_bytes() == 0) spec.set_log_limit_bytes(kDefaultLogBytes);
}

}  // namespace

absl::StatusOr<std::string_view> ParseJobName(std::string_view name, std::string_view field) {
  std::string_view id = name;
  if (!absl::ConsumePrefix(&id, "jobs/") || !IsValidId(id)) {
    return InvalidField(field, "must be jobs/ID, as Submit has answered it");
  }
  return id;
}

void EncodeJob(const JobRecord& record, int64_t running_count, const Principal& viewer, v1::Job* out) {
  out->set_name(JobResourceName(record.name));
  out->set_state(static_cast<v1::Job::State>(record.state));
  *out->mutable_spec() = record.spec;
  out->mutable_spec()->clear_args();
  out->set_owner(std::string(absl::StripSuffix(record.owner, "/")));
  EncodeTimeIfSet(record.create_time, &v1::Job::mutable_create_time, out);
  EncodeTimeIfSet(record.start_time, &v1::Job::mutable_start_time, out);
  EncodeTimeIfSet(record.end_time, &v1::Job::mutable_end_time, out);
  if (record.state == v1::Job::SCHEDULED) EncodeTimeIfSet(record.due_time, &v1::Job::mutable_due_time, out);
  out->set_task_count(record.task_count);
  out->set_running_count(running_count);
  out->set_succeeded_count(record.succeeded);
  out->set_failed_count(record.failed);
  out->set_retried_count(record.retried);
  if (viewer.role != Role::kViewer && !record.error.empty()) out->mutable_error()->ParseFromString(record.error);
  if (!record.parent_name.empty()) out->set_parent(JobResourceName(record.parent_name));
  out->set_run_count(record.run_count);
  if (!record.last_run_name.empty()) out->set_last_run(JobResourceName(record.last_run_name));
}

void EncodeTask(const TaskRecord& task, std::string_view uid, v1::Task* out) {
  if (!task.outcome.empty()) out->ParseFromString(task.outcome);
  out->set_index(task.index);
  out->set_state(static_cast<v1::Task::State>(task.state));
  out->set_attempt(task.attempt);
  if (task.start_time != kNoTime) EncodeTime(task.start_time, out->mutable_start_time());
  if (task.end_time != kNoTime) EncodeTime(task.end_time, out->mutable_end_time());
  out->set_key(absl::StrCat(uid, "/", task.index));
}

absl::StatusOr<NewJob> DecodeJob(v1::JobSpec spec, size_t position, const interp::InterpreterConfig& defaults,
                                 ChannelNames& names) {
  Checker check(position);
  check.Require(!spec.script().empty(), "script", "is empty");
  if (spec.script().size() > interp::kMaxSourceBytes) {
    check.Take(
        MakeError(absl::StatusCode::kInvalidArgument, v1::SOURCE_TOO_LARGE,
                  absl::StrCat(check.prefix(), "script has ", spec.script().size(), " bytes, over the limit of ",
                               interp::kMaxSourceBytes),
                  {{"bytes", absl::StrCat(spec.script().size())}, {"limit", absl::StrCat(interp::kMaxSourceBytes)}}));
  }
  CheckText(spec.display_name(), kMaxDisplayNameBytes, "display_name", check);
  CheckText(spec.script_name(), kMaxNameBytes, "script_name", check);
  check.Require(spec.args_size() <= kMaxArgs, "args", absl::StrCat("are more than ", kMaxArgs));
  for (const std::string& arg : spec.args()) CheckText(arg, interp::kMaxSourceBytes, "args", check);
  // As good as unset.
  if (spec.inputs_case() == v1::JobSpec::kResultsOfAfter && !spec.results_of_after()) spec.clear_inputs();
  CheckNumbers(spec, check);
  CheckTimes(spec, check);
  CheckAfter(spec, position, check);
  check.Require(spec.interpreter().setup_source().empty(), "interpreter.setup_source",
                "must be empty: it belongs into the script");
  check.Take(DecodeConfig(spec.interpreter(), defaults).status());
  if (!check.status().ok()) return check.status();

  NewJob job;
  job.script = std::move(*spec.mutable_script());
  spec.clear_script();
  if (spec.has_values()) {
    absl::StatusOr<std::vector<InputBatch>> inputs = DecodeInputs(spec.values(), names);
    if (!inputs.ok()) return inputs.status();
    job.inputs = *std::move(inputs);
    spec.mutable_values()->Clear();  // that there are inputs stays
  }
  FillIn(spec);
  job.spec = std::move(spec);
  return job;
}

absl::StatusOr<std::vector<InputBatch>> DecodeInputs(const v1::ValueBatch& values, ChannelNames& names) {
  // Only values one by one can be channels, or hold some.
  for (const v1::ValueBatch::Run& run : values.runs()) {
    for (const v1::Value& value : run.values().items()) {
      if (RefersToNameless(value)) {
        return InvalidField("values",
                            "refer to a channel without a name, which does not last as long as a job may; "
                            "give the channel a name");
      }
    }
  }
  std::vector<channels::Value> decoded;
  absl::Status status = DecodeBatch(values, names, &decoded);
  if (!status.ok()) return status;
  std::vector<InputBatch> batches;
  for (size_t next = 0; next < decoded.size();) {
    v1::ValueBatch batch;
    BatchWriter writer(names, &batch);
    while (next < decoded.size() && writer.count() < kBatchValues && writer.bytes() < kBatchBytes) {
      absl::Status appended = writer.Append(decoded[next]);
      if (!appended.ok()) return appended;
      ++next;
    }
    batches.push_back({batch.SerializeAsString(), static_cast<int64_t>(writer.count())});
  }
  return batches;
}

}  // namespace interpd::daemon
