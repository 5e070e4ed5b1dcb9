#include "client/cli/job_settings.h"

#include <array>
#include <cstdint>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/cli/commands.h"
#include "client/cli/files.h"
#include "client/cli/job_inputs.h"
#include "client/cli/start_time.h"
#include "client/client.h"

namespace interpd::client {
namespace {

using Takes = JobOption::Takes;

constexpr JobOption kOptions[] = {
    {"name", Takes::kOne, "TEXT", "What lists show; without it the script's name"},
    {"map", Takes::kOne, kFilePlaceholder,
     "Call the script's task(item) for each line of the file, a value in JSON; - is standard input"},
    {"range", Takes::kOne, "A:B", "Call it for each of the ints A, A + 1, ... B - 1"},
    {"glob", Takes::kOne, "PATTERN", "Call it for each file that matches, by its absolute path, in order"},
    {"map-results", Takes::kNothing, "", "Call it for each result of the jobs of --after"},
    {"parallel", Takes::kOne, "K", "Tasks that run at the same time; without it one"},
    {"timeout", Takes::kOne, "TIME", "How long an attempt at a task may take; without it for ever"},
    {"retries", Takes::kOne, "N", "Attempts at a task beyond the first; without it none"},
    {"backoff", Takes::kOne, "TIME", "Pause before the second attempt, doubled before each further one; without it 1s"},
    {"priority", Takes::kOne, "P", "-100 to 100; ten more is twice the share of the daemon's slots"},
    {"after", Takes::kMany, kJobPlaceholder, "Run when this job has succeeded; may be repeated"},
    {"at", Takes::kOne, "WHEN",
     "Not before then: 2030-01-31T12:00:00Z, \"2030-01-31 12:00\", 12:00 (the next one), +30m"},
    {"every", Takes::kOne, "CRON", "Make a job of it each time: five fields, or @hourly, @daily, @weekly, ..."},
    {"path", Takes::kMany, kDirectoryPlaceholder, "Directory to put at the front of sys.path; may be repeated"},
    {"venv", Takes::kOne, kDirectoryPlaceholder, "Virtual environment whose packages can be imported"},
    {"site", Takes::kNothing, "", "Run `import site`, which finds the system's packages"},
    {"cwd", Takes::kOne, kDirectoryPlaceholder,
     "Working directory; without it ours, or the daemon's if that is on another machine"},
    {"watch", Takes::kNothing, "", "Show how far it is until it has ended, and end as `job wait` does"},
};

// Where inputs come from: one of these.
constexpr std::string_view kInputs[] = {"map", "range", "glob", "map-results"};

// What is done with one setting. The status says what is wrong, and the caller where.
using Value = const std::string&;

absl::Status SetInt32(Value text, int32_t* to) {
  if (absl::SimpleAtoi(text, to)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("\"", text, "\" is no number"));
}

absl::Status SetFinite(Value text, google::protobuf::Duration* to) {
  absl::StatusOr<absl::Duration> duration = ParseDuration(text);
  if (!duration.ok()) return duration.status();
  if (*duration == absl::InfiniteDuration()) return absl::InvalidArgumentError("this must be a finite time");
  *to = ToProtoDuration(*duration);
  return absl::OkStatus();
}

std::string PathIn(const std::string& directory, Value path) {
  return AbsolutePath(directory.empty() || path.starts_with('/') ? path : absl::StrCat(directory, "/", path));
}

absl::Status ApplyInputs(std::string_view name, const JobSetting& setting, Session& session, JobPlan* plan) {
  v1::JobSpec& spec = plan->spec;
  if (name == "map-results") {
    spec.set_results_of_after(true);
    return absl::OkStatus();
  }
  Value value = setting.values[0];
  if (name == "range") {
    std::optional<v1::JobSpec::Range> range = ParseRange(value);
    if (!range.has_value()) {
      return absl::InvalidArgumentError(absl::StrCat("\"", value, "\" is no range; say A:B, with A not above B"));
    }
    *spec.mutable_range() = *range;
    return absl::OkStatus();
  }
  absl::StatusOr<std::unique_ptr<JobInputs>> inputs =
      name == "glob"
          ? GlobInputs(PathIn(setting.directory, value))
          : LineInputs(session, value == "-" || setting.directory.empty() ? value : PathIn(setting.directory, value));
  if (!inputs.ok()) return inputs.status();
  spec.mutable_values();
  plan->inputs = *std::move(inputs);
  return absl::OkStatus();
}

absl::Status ApplyOne(std::string_view name, const JobSetting& setting, Session& session, absl::Time now,
                      JobPlan* plan) {
  v1::JobSpec& spec = plan->spec;
  v1::InterpreterConfig& interpreter = *spec.mutable_interpreter();
  if (name == "watch") {
    plan->watch = true;
    return absl::OkStatus();
  }
  if (name == "site") {
    interpreter.set_site(true);
    return absl::OkStatus();
  }
  if (name == "path") {
    // Ours come before what is there: the script's own directory.
    std::vector<std::string> path;
    for (Value directory : setting.values) path.push_back(PathIn(setting.directory, directory));
    path.insert(path.end(), interpreter.path().begin(), interpreter.path().end());
    interpreter.mutable_path()->Assign(path.begin(), path.end());
    return absl::OkStatus();
  }
  if (name == "after") {
    for (Value job : setting.values) spec.add_after(job);
    return absl::OkStatus();
  }
  if (std::find(std::begin(kInputs), std::end(kInputs), name) != std::end(kInputs)) {
    return ApplyInputs(name, setting, session, plan);
  }
  Value value = setting.values[0];
  if (name == "parallel") {
    int32_t parallel = 0;
    absl::Status status = SetInt32(value, &parallel);
    if (status.ok() && parallel < 1) status = absl::InvalidArgumentError("at least 1");
    spec.set_parallel(parallel);
    return status;
  }
  if (name == "retries" || name == "priority") {
    int32_t number = 0;
    absl::Status status = SetInt32(value, &number);
    name == "retries" ? spec.set_retries(number) : spec.set_priority(number);
    return status;
  }
  if (name == "timeout") return value == "inf" ? absl::OkStatus() : SetFinite(value, spec.mutable_timeout());
  if (name == "backoff") return SetFinite(value, spec.mutable_backoff());
  if (name == "at") {
    absl::StatusOr<absl::Time> time = ParseStartTime(value, now, absl::LocalTimeZone());
    if (time.ok()) *spec.mutable_start_time() = ToProtoTimestamp(*time);
    return time.status();
  }
  if (name == "name") spec.set_display_name(value);
  if (name == "every") spec.set_cron(value);
  if (name == "venv") interpreter.set_venv(PathIn(setting.directory, value));
  if (name == "cwd") interpreter.set_cwd(PathIn(setting.directory, value));
  return absl::OkStatus();
}

}  // namespace

std::span<const JobOption> JobOptions() { return kOptions; }

JobSettings Merge(JobSettings header, const JobSettings& flags) {
  bool inputs_by_flag = false;
  for (std::string_view name : kInputs) inputs_by_flag = inputs_by_flag || flags.contains(name);
  if (inputs_by_flag) {
    for (std::string_view name : kInputs) header.erase(std::string(name));
  }
  for (const auto& [name, setting] : flags) header.insert_or_assign(name, setting);
  return header;
}

absl::Status Apply(const JobSettings& settings, Session& session, absl::Time now, JobPlan* plan) {
  std::vector<std::string> inputs;
  for (std::string_view name : kInputs) {
    if (auto found = settings.find(name); found != settings.end()) inputs.push_back(found->second.where);
  }
  if (inputs.size() > 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("inputs come from one place, not from ", absl::StrJoin(inputs, " and ")));
  }
  // In the order of the table, so that it is always the same error that comes first.
  for (const JobOption& option : kOptions) {
    auto found = settings.find(option.name);
    if (found == settings.end()) continue;
    absl::Status status = ApplyOne(option.name, found->second, session, now, plan);
    if (!status.ok()) {
      return absl::Status(status.code(), absl::StrCat(found->second.where, ": ", status.message()));
    }
  }
  if (plan->spec.results_of_after() && plan->spec.after().empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(settings.find("map-results")->second.where,
                     ": there is no job whose results these could be; say which by after"));
  }
  return absl::OkStatus();
}

std::optional<v1::JobSpec::Range> ParseRange(std::string_view text) {
  const std::vector<std::string_view> ends = absl::StrSplit(text, ':');
  int64_t begin = 0;
  int64_t end = 0;
  if (ends.size() != 2 || !absl::SimpleAtoi(ends[0], &begin) || !absl::SimpleAtoi(ends[1], &end) || begin > end) {
    return std::nullopt;
  }
  v1::JobSpec::Range range;
  range.set_begin(begin);
  range.set_end(end);
  return range;
}

google::protobuf::Duration ToProtoDuration(absl::Duration duration) {
  google::protobuf::Duration proto;
  proto.set_seconds(absl::IDivDuration(duration, absl::Seconds(1), &duration));
  proto.set_nanos(static_cast<int32_t>(duration / absl::Nanoseconds(1)));
  return proto;
}

google::protobuf::Timestamp ToProtoTimestamp(absl::Time time) {
  google::protobuf::Timestamp proto;
  const int64_t seconds = absl::ToUnixSeconds(time);
  proto.set_seconds(seconds);
  proto.set_nanos(static_cast<int32_t>((time - absl::FromUnixSeconds(seconds)) / absl::Nanoseconds(1)));
  return proto;
}

}  // namespace interpd::client
