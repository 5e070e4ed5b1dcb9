// job submit, job wait
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/cli/commands.h"
#include "client/cli/job_commands.h"
#include "client/cli/job_file.h"
#include "client/cli/job_ids.h"
#include "client/cli/job_print.h"
#include "client/cli/job_progress.h"
#include "client/cli/job_submission.h"
#include "client/cli/print.h"

namespace interpd::client {
namespace {

struct SubmitOptions {
  Submission submission;
  std::string job_file;
};

std::string IdsOf(const std::vector<v1::Job>& jobs) {
  std::string ids;
  for (const v1::Job& job : jobs) absl::StrAppend(&ids, JobId(job.name()), "\n");
  return ids;
}

// Those of the file, in its order.
absl::StatusOr<std::vector<v1::Job>> SubmitFile(Session& session, Client& client, const SubmitOptions& options) {
  absl::StatusOr<JobFile> file = ReadJobFile(session, options.job_file, absl::Now());
  if (!file.ok()) return file.status();
  file->request.set_request_id(options.submission.request_id);
  for (int i = 0; i < file->request.jobs_size(); ++i) {
    absl::Status status = CheckText(file->request.jobs(i));
    if (!status.ok()) return absl::Status(status.code(), absl::StrCat(file->places[i], ": ", status.message()));
  }
  absl::StatusOr<std::vector<v1::Job>> jobs = Submit(session, client, std::move(file->request), file->inputs);
  if (!jobs.ok()) return InJobFile(*file, jobs.status());
  if (jobs->size() != file->positions.size()) return absl::InternalError("the daemon has made another number of jobs");
  std::vector<v1::Job> ordered;
  for (int position : file->positions) ordered.push_back((*jobs)[position]);
  return ordered;
}

int SubmitCommand(Session& session, const SubmitOptions& options) {
  const JobSettings& flags = options.submission.flags;
  const bool from_job_file = !options.job_file.empty();
  if (from_job_file == !options.submission.file.empty()) {
    return session.Fail(absl::InvalidArgumentError("say what to submit: FILE, - for standard input, or -f JOBFILE"));
  }
  if (from_job_file && flags.size() > (flags.contains("watch") ? 1 : 0)) {
    return session.Fail(
        absl::InvalidArgumentError("what jobs are like stands in the job file; beside -f only --watch"));
  }
  absl::StatusOr<Client*> client = session.client();
  if (!client.ok()) return session.Fail(client.status());
  bool watch = flags.contains("watch");
  std::vector<v1::Job> jobs;
  if (from_job_file) {
    absl::StatusOr<std::vector<v1::Job>> made = SubmitFile(session, **client, options);
    if (!made.ok()) return session.Fail(made.status());
    jobs = *std::move(made);
  } else {
    absl::StatusOr<v1::Job> made = SubmitScript(session, **client, options.submission, &watch);
    if (!made.ok()) return session.Fail(made.status());
    jobs.push_back(*std::move(made));
  }
  if (!session.json()) {
    session.Out(IdsOf(jobs));
  } else if (!watch) {
    session.Out(jobs.size() == 1 ? JsonDocument(jobs[0]) : JobDocument(jobs));
  } else {
    // The document comes in the end; who leaves before must know what is left behind.
    for (const v1::Job& job : jobs) session.Err(absl::StrCat("interpctl: submitted ", JobId(job.name()), "\n"));
  }
  if (!watch) return kOk;
  std::vector<std::string> names;
  for (const v1::Job& job : jobs) names.push_back(job.name());
  return WatchJobs(session, **client, names);
}

int Wait(Session& session, const std::vector<std::string>& ids) {
  absl::StatusOr<Client*> client = session.client();
  if (!client.ok()) return session.Fail(client.status());
  absl::StatusOr<std::vector<std::string>> names = FindJobs(session, **client, ids);
  if (!names.ok()) return session.Fail(names.status());
  return WatchJobs(session, **client, *names);
}

}  // namespace

void AddJobSubmitCommand(CLI::App& job, Session& session) {
  auto options = std::make_shared<SubmitOptions>();
  CLI::App* submit = job.add_subcommand("submit", "Submit a script as a job and print its ID");
  submit->add_option("-f,--file", options->job_file, "Submit the jobs of this file, YAML or JSON; - is standard input")
      ->type_name(kFilePlaceholder);
  submit
      ->add_option("--request-id", options->submission.request_id,
                   "A name for this submission, of your own choice: submitted again, it is the same job")
      ->type_name("TEXT");
  AddSubmissionOptions(*submit, options->submission);
  submit->usage("interpctl job submit [OPTIONS] (FILE | -) [ARG]...\n  interpctl job submit [OPTIONS] -f JOBFILE");
  submit->footer(
      "Without inputs the script runs once, as `python FILE ARG...` would. With --map, --range, --glob or "
      "--map-results\n"
      "its function task(item) is called for each input, and what it returns is the task's result. The job is on the\n"
      "daemon's disk when its ID is printed. --timeout, behind `submit`, is that of one attempt.\n"
      "With --watch -o json the document is that of the job in the end, and its ID goes to standard error.\n\n"
      "Options may stand in the script too, in TOML, under their long names; the command line comes first:\n"
      "  # /// interpd\n"
      "  # glob = \"photos/*.jpg\"\n"
      "  # parallel = 4\n"
      "  # ///\n\n"
      "Examples:\n"
      "  interpctl job submit --glob 'photos/*.jpg' --parallel 4 --watch thumbnail.py\n"
      "  id=$(interpctl job submit --range 0:1000 --retries 2 simulate.py --seed 7)\n"
      "  interpctl job submit --after $id --map-results summary.py\n"
      "  interpctl job submit --every '30 2 * * *' cleanup.py\n"
      "  interpctl job submit -f jobs.yaml");
  submit->callback(
      [&session, options] { session.command = [&session, options] { return SubmitCommand(session, *options); }; });
}

void AddJobWaitCommand(CLI::App& job, Session& session) {
  auto ids = std::make_shared<std::vector<std::string>>();
  CLI::App* wait = job.add_subcommand("wait", "Wait until jobs have ended, and show how far they are");
  wait->add_option(kJobPlaceholder, *ids, "IDs of the jobs")->type_name("")->required();
  wait->usage("interpctl job wait JOB... [--timeout TIME] [OPTIONS]");
  wait->footer(
      "Goes on when the daemon is restarted. Ctrl-C leaves; the jobs go on. The exit code is 0 when all tasks of all\n"
      "jobs have succeeded, 1 when a job has failed, 8 when one was cancelled, 6 when --timeout passed before.\n\n"
      "Examples:\n"
      "  interpctl job wait abcdefghij\n"
      "  interpctl job wait $a $b --timeout 10m && echo all done");
  wait->callback([&session, ids] { session.command = [&session, ids] { return Wait(session, *ids); }; });
}

}  // namespace interpd::client
