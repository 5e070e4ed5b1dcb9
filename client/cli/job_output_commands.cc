// job logs, job results
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/cli/commands.h"
#include "client/cli/job_commands.h"
#include "client/cli/job_ids.h"
#include "client/cli/job_log.h"
#include "client/cli/job_print.h"
#include "client/cli/restarts.h"

namespace interpd::client {
namespace {

// ---- logs ----------------------------------------------------------------------------------------------------------

struct LogsOptions {
  std::string id;
  int64_t task = 0;
  bool has_task = false;
  bool follow = false;
  bool no_prefix = false;
};

int Logs(Session& session, const LogsOptions& options) {
  absl::StatusOr<Client*> client = session.client();
  if (!client.ok()) return session.Fail(client.status());
  absl::StatusOr<std::string> name = FindJob(session, **client, options.id);
  if (!name.ok()) return session.Fail(name.status());
  LogForm form = session.json() ? LogForm::kJson : LogForm::kPlain;
  if (form == LogForm::kPlain && !options.has_task && !options.no_prefix) {
    absl::StatusOr<v1::Job> job = (*client)->GetJob(*name, session.rpc());
    if (!job.ok()) return session.Fail(job.status());
    // As long as it is not known how many tasks there will be, there are inputs.
    if (job->task_count() != 1) form = LogForm::kPrefixed;
  }
  const std::optional<int64_t> task = options.has_task ? std::optional(options.task) : std::nullopt;
  absl::Status status = ShowJobLog(session, **client, *name, task, options.follow, form);
  return status.ok() ? kOk : session.Fail(status);
}

// ---- results -------------------------------------------------------------------------------------------------------

struct ResultsOptions {
  std::string id;
  std::string format;  // empty: as the global option says
  bool failed = false;
  bool all = false;
  bool follow = false;
};

// Prints tasks as they come.
class ResultPrinter {
 public:
  ResultPrinter(Session& session, std::string format) : session_(session), format_(std::move(format)) {}

  void Print(const v1::Task& task) {
    const bool first = !std::exchange(any_, true);
    next_index_ = task.index() + 1;
    if (format_ == "table") {
      absl::StrAppend(&text_, first ? TaskHeading() : "", TaskLine(task));
    } else if (format_ == "json") {
      absl::StrAppend(&text_, first ? "[\n" : ",\n", TaskToJson(task));
    } else {
      absl::StrAppend(&text_, TaskToJson(task), "\n");
    }
    if (text_.size() > kBufferBytes) Flush();
  }

  // To be called once no more is at hand.
  void Flush() {
    session_.Out(text_);
    text_.clear();
  }

  void End() {
    if (format_ == "json") text_ += any_ ? "\n]\n" : "[]\n";
    Flush();
  }

  // From where to go on.
  int64_t next_index() const { return next_index_; }

 private:
  // A million small writes take longer than all else.
  static constexpr size_t kBufferBytes = size_t{1} << 16;

  Session& session_;
  const std::string format_;
  std::string text_;
  bool any_ = false;
  int64_t next_index_ = 0;
};

int Results(Session& session, const ResultsOptions& options) {
  absl::StatusOr<Client*> client = session.client();
  if (!client.ok()) return session.Fail(client.status());
  absl::StatusOr<std::string> name = FindJob(session, **client, options.id);
  if (!name.ok()) return session.Fail(name.status());
  v1::JobResultsRequest request;
  request.set_name(*name);
  request.set_follow(options.follow);
  if (options.failed) request.add_states(v1::Task::FAILED);
  if (options.all) {
    for (auto state :
         {v1::Task::PENDING, v1::Task::RUNNING, v1::Task::SUCCEEDED, v1::Task::FAILED, v1::Task::CANCELLED}) {
      request.add_states(state);
    }
  }
  ResultPrinter printer(session, options.format.empty() ? session.options.format : options.format);
  const auto attempt = [&](const RpcOptions& rpc) {
    request.set_first_index(printer.next_index());
    return (*client)->JobResults(
        request,
        [&](const v1::Task& task) {
          printer.Print(task);
          if (options.follow) printer.Flush();
        },
        rpc);
  };
  absl::Status status = options.follow ? AcrossRestarts(session, **client, attempt) : attempt(session.rpc());
  printer.End();
  return status.ok() ? kOk : session.Fail(status);
}

}  // namespace

void AddJobLogsCommand(CLI::App& job, Session& session) {
  auto options = std::make_shared<LogsOptions>();
  CLI::App* logs = job.add_subcommand("logs", "Print what a job's tasks have written");
  logs->add_option(kJobPlaceholder, options->id, "ID of the job")->type_name("")->required();
  CLI::Option* task = logs->add_option("--task", options->task, "Only of the task with this index, from 0")
                          ->type_name("N")
                          ->check(CLI::Range(int64_t{0}, int64_t{1} << 62).description(""));
  logs->add_flag("-f,--follow", options->follow, "Go on until the job has ended, or Ctrl-C");
  logs->add_flag("--no-prefix", options->no_prefix, "Do not begin lines with \"[task N] \"");
  logs->usage("interpctl job logs JOB [--task N] [--follow] [--no-prefix] [OPTIONS]");
  logs->footer(
      "What was written to standard error goes there. Lines begin with \"[task N] \" when the job has several tasks.\n"
      "With -o json every line is a document, of an output as it came.\n\n"
      "Examples:\n"
      "  interpctl job logs abcdefghij --follow\n"
      "  interpctl job logs abcdefghij --task 7");
  logs->callback([&session, options, task] {
    options->has_task = task->count() > 0;
    session.command = [&session, options] { return Logs(session, *options); };
  });
}

void AddJobResultsCommand(CLI::App& job, Session& session) {
  auto options = std::make_shared<ResultsOptions>();
  CLI::App* results = job.add_subcommand("results", "Print the results of a job's tasks");
  results->add_option(kJobPlaceholder, options->id, "ID of the job")->type_name("")->required();
  results->add_option("-o,--output", options->format, "Form of results; jsonl is one document a line, without a limit")
      ->type_name("table|json|jsonl")
      ->check(CLI::IsMember({"table", "json", "jsonl"}).description(""));
  CLI::Option* failed = results->add_flag("--failed", options->failed, "Only tasks that have failed");
  results->add_flag("--all", options->all, "Tasks that have not ended, or never will, too")->excludes(failed);
  results->add_flag("-f,--follow", options->follow, "Wait for those that have not ended, as long as the job has not");
  results->usage("interpctl job results JOB [-o FORM] [--failed | --all] [--follow] [OPTIONS]");
  results->footer(
      "In the order of the inputs. In jsonl each line has index, state, attempt, seconds, key, and result, or error "
      "and\n"
      "traceback; values are written as for `interpctl call`. The table cuts long results.\n\n"
      "Examples:\n"
      "  interpctl job results abcdefghij -o jsonl | jq .result\n"
      "  interpctl job results abcdefghij --failed");
  results->callback(
      [&session, options] { session.command = [&session, options] { return Results(session, *options); }; });
}

}  // namespace interpd::client
