#include "client/cli/job_submission.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/cli/commands.h"
#include "client/cli/job_ids.h"
#include "client/cli/job_script.h"
#include "client/cli/utf8.h"
#include "client/client.h"

namespace interpd::client {

void AddSubmissionOptions(CLI::App& command, Submission& submission, const std::vector<std::string>& without) {
  command.add_option(kFilePlaceholder, submission.file, "The script; - is standard input")->type_name("");
  // What stands there is in session.script_args: it is the script's, also where it looks like an option of ours.
  command.add_option_function<std::vector<std::string>>(
             "ARG", [](const auto&) {}, "Arguments of the script")
      ->type_name("");
  for (const JobOption& option : JobOptions()) {
    if (std::find(without.begin(), without.end(), option.name) != without.end()) continue;
    const std::string flag = absl::StrCat("--", option.name);
    const auto set = [&submission, name = std::string(option.name), flag](std::vector<std::string> values) {
      submission.flags.insert_or_assign(name, JobSetting{.values = std::move(values), .where = flag});
    };
    switch (option.takes) {
      case JobOption::Takes::kNothing: command.add_flag_callback(flag, [set] { set({}); }, option.help); break;
      case JobOption::Takes::kOne:
        command.add_option_function<std::string>(
                   flag, [set](const std::string& value) { set({value}); }, option.help)
            ->type_name(option.type);
        break;
      case JobOption::Takes::kMany:
        command.add_option_function<std::vector<std::string>>(flag, set, option.help)
            ->type_name(option.type)
            ->allow_extra_args(false);
        break;
    }
  }
}

absl::StatusOr<v1::Job> SubmitScript(Session& session, Client& client, const Submission& submission, bool* watch) {
  JobPlan plan;
  absl::Status status = PlanScript(session, submission.file, submission.flags, absl::Now(), &plan);
  if (!status.ok()) return status;
  if (submission.foreground && !plan.spec.cron().empty()) {
    return absl::InvalidArgumentError("a job that is run every so often has no end to wait for; submit it");
  }
  *watch = plan.watch;
  v1::SubmitJobsRequest request;
  request.set_request_id(submission.request_id);
  v1::JobSpec& spec = *request.add_jobs();
  spec = std::move(plan.spec);
  for (const std::string& arg : session.script_args) spec.add_args(arg);
  if (status = CheckText(spec); !status.ok()) return status;
  absl::StatusOr<std::vector<v1::Job>> jobs = Submit(session, client, std::move(request), std::span(&plan.inputs, 1));
  if (!jobs.ok()) return jobs.status();
  if (jobs->empty()) return absl::InternalError("the daemon has not said which job it has made");
  return std::move(jobs->front());
}

absl::Status CheckText(const v1::JobSpec& spec) {
  const v1::InterpreterConfig& interpreter = spec.interpreter();
  std::vector<std::pair<std::string, std::string_view>> texts = {{"the name", spec.display_name()},
                                                                 {"the script's path", spec.script_name()},
                                                                 {"the script", spec.script()},
                                                                 {"cron", spec.cron()},
                                                                 {"the working directory", interpreter.cwd()},
                                                                 {"the path of venv", interpreter.venv()}};
  for (int i = 0; i < spec.args_size(); ++i) texts.emplace_back(absl::StrCat("argument ", i + 1), spec.args(i));
  for (const std::string& path : interpreter.path()) texts.emplace_back("a directory of path", path);
  for (const std::string& job : spec.after()) texts.emplace_back("the name of a job in after", job);
  for (const auto& [what, text] : texts) {
    if (IsUtf8(text)) continue;
    return absl::InvalidArgumentError(absl::StrCat(what, " is no UTF-8: ", Printable(text.substr(0, 80))));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<v1::Job>> Submit(Session& session, Client& client, v1::SubmitJobsRequest request,
                                            std::span<const std::unique_ptr<JobInputs>> inputs) {
  for (v1::JobSpec& spec : *request.mutable_jobs()) {
    const std::vector<std::string> after(spec.after().begin(), spec.after().end());
    absl::StatusOr<std::vector<std::string>> names = FindJobs(session, client, after);
    if (!names.ok()) return names.status();
    spec.mutable_after()->Assign(names->begin(), names->end());
  }
  return client.SubmitJobs(std::move(request), inputs, session.rpc());
}

}  // namespace interpd::client
