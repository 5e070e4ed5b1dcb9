#include "client/cli/job_print.h"

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/cli/print.h"
#include "client/cli/utf8.h"
#include "client/cli/value_json.h"
#include "client/client.h"

namespace interpd::client {
namespace {

// Of a result in the table.
constexpr size_t kResultWidth = 72;

absl::Time ToTime(const google::protobuf::Timestamp& timestamp) {
  return absl::FromUnixSeconds(timestamp.seconds()) + absl::Nanoseconds(timestamp.nanos());
}

absl::Duration ToDuration(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
}

std::string TimeText(const google::protobuf::Timestamp& timestamp) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%S", ToTime(timestamp), absl::LocalTimeZone());
}

std::string Quoted(const std::string& text) {
  return nlohmann::json(text).dump(/*indent=*/-1, ' ', /*ensure_ascii=*/false,
                                   nlohmann::json::error_handler_t::replace);
}

// The first line, cut to at most so many bytes at the beginning of a character, with "..." if there was more.
std::string Shortened(std::string_view text, size_t bytes) {
  const std::string_view line = text.substr(0, text.find('\n'));
  if (line.size() <= bytes && line.size() == text.size()) return std::string(line);
  size_t end = std::min(line.size(), bytes);
  while (end > 0 && end < line.size() && (static_cast<unsigned char>(line[end]) & 0xC0) == 0x80) --end;
  return absl::StrCat(line.substr(0, end), "...");
}

std::string Ids(const google::protobuf::RepeatedPtrField<std::string>& names) {
  return absl::StrJoin(names, " ",
                       [](std::string* out, const std::string& name) { absl::StrAppend(out, JobId(name)); });
}

std::string InputsText(const v1::JobSpec& spec) {
  switch (spec.inputs_case()) {
    case v1::JobSpec::kRange: return absl::StrCat("range ", spec.range().begin(), ":", spec.range().end());
    case v1::JobSpec::kValues: return "values";
    case v1::JobSpec::kResultsOfAfter: return "results of other jobs";
    case v1::JobSpec::INPUTS_NOT_SET: return "none: the script runs once";
  }
  return "";
}

double Seconds(const v1::Task& task) {
  return absl::ToDoubleSeconds(ToTime(task.end_time()) - ToTime(task.start_time()));
}

bool HasTimes(const v1::Task& task) { return task.has_start_time() && task.has_end_time(); }

}  // namespace

std::string JobStateName(v1::Job::State state) { return absl::AsciiStrToLower(v1::Job::State_Name(state)); }

bool HasEnded(v1::Job::State state) {
  return state == v1::Job::SUCCEEDED || state == v1::Job::FAILED || state == v1::Job::CANCELLED;
}

std::string DoneOf(const v1::Job& job) {
  const int64_t done = job.succeeded_count() + job.failed_count();
  return job.task_count() == 0 && !HasEnded(job.state()) ? absl::StrCat(done)
                                                         : absl::StrCat(done, " of ", job.task_count());
}

std::string JobTable(std::span<const v1::Job> jobs, absl::Time now) {
  std::vector<std::vector<std::string>> rows = {{"ID", "NAME", "STATE", "TASKS", "FAILED", "AGE"}};
  for (const v1::Job& job : jobs) {
    rows.push_back({std::string(JobId(job.name())), Shortened(job.spec().display_name(), 40), JobStateName(job.state()),
                    job.spec().cron().empty() ? DoneOf(job) : absl::StrCat(job.run_count(), " runs"),
                    absl::StrCat(job.failed_count()), ShortDuration(now - ToTime(job.create_time()))});
  }
  return Table(std::move(rows));
}

std::string JobDocument(std::span<const v1::Job> jobs) {
  std::vector<std::string> items;
  for (const v1::Job& job : jobs) items.push_back(MessageToJson(job));
  return items.empty() ? "[]\n" : absl::StrCat("[\n", absl::StrJoin(items, ",\n"), "\n]\n");
}

std::string JobFields(const v1::Job& job, absl::Time now) {
  const v1::JobSpec& spec = job.spec();
  std::vector<std::pair<std::string, std::string>> fields = {{"ID", std::string(JobId(job.name()))}};
  const auto add = [&fields](std::string key, std::string value) {
    if (!value.empty()) fields.push_back({std::move(key), std::move(value)});
  };
  add("Name", spec.display_name());
  add("State", JobStateName(job.state()));
  add("Script", absl::StrCat(spec.script_name().empty() ? "script.py" : spec.script_name(),
                             spec.args().empty() ? "" : " ", absl::StrJoin(spec.args(), " ")));
  add("Inputs", InputsText(spec));
  add("Owner", job.owner());
  add("Submitted",
      absl::StrCat(TimeText(job.create_time()), " (", ShortDuration(now - ToTime(job.create_time())), " ago)"));
  if (job.has_due_time()) add("Due", TimeText(job.due_time()));
  if (job.has_start_time()) add("Started", TimeText(job.start_time()));
  if (job.has_end_time()) {
    const std::string took =
        job.has_start_time()
            ? absl::StrCat(" (", ShortDuration(ToTime(job.end_time()) - ToTime(job.start_time())), " after its start)")
            : "";
    add("Ended", absl::StrCat(TimeText(job.end_time()), took));
  }
  add("Tasks", absl::StrCat(DoneOf(job), " done, ", job.failed_count(), " failed, ", job.running_count(), " running, ",
                            job.retried_count(), " attempts repeated"));
  add("Parallel", absl::StrCat(std::max(1, spec.parallel())));
  if (spec.has_timeout()) add("Timeout", ShortDuration(ToDuration(spec.timeout())));
  if (spec.retries() != 0) add("Retries", absl::StrCat(spec.retries()));
  if (spec.priority() != 0) add("Priority", absl::StrCat(spec.priority()));
  add("After", Ids(spec.after()));
  add("Every", spec.cron());
  if (!spec.cron().empty()) add("Runs", absl::StrCat(job.run_count()));
  add("Last run", std::string(JobId(job.last_run())));
  add("Run of", std::string(JobId(job.parent())));
  add("Directory", spec.interpreter().cwd());
  add("Path", absl::StrJoin(spec.interpreter().path(), ":"));
  add("Venv", spec.interpreter().venv());
  std::string text = Fields(fields);
  if (job.has_error()) {
    absl::StrAppend(&text, "\n", PrintableLines(job.error().message()), "\n",
                    PrintableLines(job.error().exception().formatted()));
  }
  return text;
}

std::string TaskError(const v1::Task& task) {
  switch (task.outcome_case()) {
    case v1::Task::kException: {
      const v1::ExceptionInfo& exception = task.exception();
      const std::string message = Shortened(exception.message(), 200);
      return message.empty() ? exception.type() : absl::StrCat(exception.type(), ": ", message);
    }
    case v1::Task::kError: return Shortened(task.error(), 300);
    default: return task.state() == v1::Task::FAILED ? absl::StrCat("exit code ", task.exit_code()) : "";
  }
}

std::string TaskToJson(const v1::Task& task) {
  std::string out = absl::StrCat("{\"index\": ", task.index(), ", \"state\": \"", v1::Task::State_Name(task.state()),
                                 "\", \"attempt\": ", task.attempt());
  if (HasTimes(task)) absl::StrAppendFormat(&out, ", \"seconds\": %.6f", Seconds(task));
  if (!task.key().empty()) absl::StrAppend(&out, ", \"key\": ", Quoted(task.key()));
  if (task.exit_code() != 0) absl::StrAppend(&out, ", \"exit_code\": ", task.exit_code());
  if (task.has_result()) absl::StrAppend(&out, ", \"result\": ", ValueToJson(task.result()));
  if (task.state() == v1::Task::SUCCEEDED && !task.has_result()) absl::StrAppend(&out, ", \"result\": null");
  if (std::string error = TaskError(task); !error.empty()) absl::StrAppend(&out, ", \"error\": ", Quoted(error));
  if (task.has_exception()) absl::StrAppend(&out, ", \"traceback\": ", Quoted(task.exception().formatted()));
  return out + "}";
}

std::string TaskHeading() { return "INDEX     STATE      ATTEMPT  TIME    RESULT\n"; }

std::string TaskLine(const v1::Task& task) {
  const std::string error = Printable(TaskError(task));
  return absl::StrFormat("%-8d  %-9s  %-7d  %-6s  %s\n", task.index(),
                         absl::AsciiStrToLower(v1::Task::State_Name(task.state())), task.attempt(),
                         HasTimes(task) ? ShortDuration(absl::Seconds(Seconds(task))) : "-",
                         !error.empty()      ? Shortened(error, kResultWidth)
                         : task.has_result() ? Shortened(Printable(ValueToJson(task.result())), kResultWidth)
                                             : "-");
}

}  // namespace interpd::client
