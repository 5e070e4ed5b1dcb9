// job list, get, cancel, retry, delete; the other job commands have files of their own.
#include "client/cli/job_commands.h"

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/cli/commands.h"
#include "client/cli/job_ids.h"
#include "client/cli/job_print.h"
#include "client/cli/print.h"

namespace interpd::client {
namespace {

constexpr char kStates[] = "scheduled|waiting|queued|running|succeeded|failed|cancelled";

struct ListOptions {
  std::vector<std::string> states;
  std::string parent;
  int64_t limit = 100;
};

int List(Session& session, const ListOptions& options) {
  absl::StatusOr<Client*> client = session.client();
  if (!client.ok()) return session.Fail(client.status());
  v1::ListJobsRequest request;
  for (const std::string& name : options.states) {
    v1::Job::State state = v1::Job::STATE_UNSPECIFIED;
    v1::Job::State_Parse(absl::AsciiStrToUpper(name), &state);
    request.add_states(state);
  }
  if (!options.parent.empty()) {
    absl::StatusOr<std::string> parent = FindJob(session, **client, options.parent);
    if (!parent.ok()) return session.Fail(parent.status());
    request.set_parent(*std::move(parent));
  }
  const int64_t limit = options.limit == 0 ? std::numeric_limits<int64_t>::max() : options.limit;
  absl::StatusOr<std::vector<v1::Job>> jobs = (*client)->ListJobs(std::move(request), limit, session.rpc());
  if (!jobs.ok()) return session.Fail(jobs.status());
  if (session.json()) {
    session.Out(JobDocument(*jobs));
  } else if (session.options.quiet) {
    std::string ids;
    for (const v1::Job& job : *jobs) absl::StrAppend(&ids, JobId(job.name()), "\n");
    session.Out(ids);
  } else {
    session.Out(JobTable(*jobs, absl::Now()));
  }
  return kOk;
}

int Get(Session& session, const std::string& id) {
  absl::StatusOr<Client*> client = session.client();
  if (!client.ok()) return session.Fail(client.status());
  absl::StatusOr<std::string> name = FindJob(session, **client, id);
  if (!name.ok()) return session.Fail(name.status());
  absl::StatusOr<v1::Job> job = (*client)->GetJob(*name, session.rpc());
  if (!job.ok()) return session.Fail(job.status());
  session.Out(session.json()          ? JsonDocument(*job)
              : session.options.quiet ? absl::StrCat(JobId(job->name()), "\n")
                                      : JobFields(*job, absl::Now()));
  return kOk;
}

// What is done to each of several jobs. The answer is without a name where the RPC says nothing about the job.
using Action =
    std::function<absl::StatusOr<v1::Job>(Client& client, const std::string& name, const RpcOptions& options)>;

// Goes on when it fails for one, and returns the first error's exit code.
int ForEach(Session& session, const std::vector<std::string>& ids, const Action& action) {
  absl::StatusOr<Client*> client = session.client();
  if (!client.ok()) return session.Fail(client.status());
  int code = kOk;
  std::vector<v1::Job> done;
  for (const std::string& id : ids) {
    absl::StatusOr<std::string> name = FindJob(session, **client, id);
    absl::StatusOr<v1::Job> job =
        name.ok() ? action(**client, *name, session.rpc()) : absl::StatusOr<v1::Job>(name.status());
    if (!job.ok()) {
      const int failure = session.Fail(job.status());
      if (code == kOk) code = failure;
      continue;
    }
    if (session.options.quiet) session.Out(absl::StrCat(JobId(*name), "\n"));
    if (!job->name().empty()) done.push_back(*std::move(job));
  }
  if (session.json() && !done.empty()) session.Out(ids.size() > 1 ? JobDocument(done) : JsonDocument(done[0]));
  return code;
}

// A command that does something to each of its jobs.
void AddEach(CLI::App& group, Session& session, const std::string& word, const std::string& description,
             const std::string& footer, Action action) {
  auto ids = std::make_shared<std::vector<std::string>>();
  CLI::App* command = group.add_subcommand(word, description);
  command->add_option(kJobPlaceholder, *ids, "IDs of the jobs")->type_name("")->required();
  command->usage(absl::StrCat("interpctl job ", word, " JOB... [OPTIONS]"));
  command->footer(absl::StrCat(footer,
                               "Goes on when this fails for one, and ends with the first error's exit code.\n\n",
                               "Example:\n  interpctl job ", word, " abcdefghij"));
  command->callback([&session, ids, action = std::move(action)] {
    session.command = [&session, ids, action] { return ForEach(session, *ids, action); };
  });
}

void AddListCommand(CLI::App& group, Session& session) {
  auto options = std::make_shared<ListOptions>();
  CLI::App* list = group.add_subcommand("list", "List jobs, the newest first");
  list->add_option("--state", options->states, "Only jobs in this state; may be repeated")
      ->type_name(kStates)
      ->check(CLI::IsMember({"scheduled", "waiting", "queued", "running", "succeeded", "failed", "cancelled"})
                  .description(""))
      ->allow_extra_args(false);
  list->add_option("--runs-of", options->parent, "Only jobs that this one, submitted with --every, has made")
      ->type_name(kJobPlaceholder);
  list->add_option("--limit", options->limit, "At most so many; without it 100. 0: all")
      ->type_name("N")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 40).description(""));
  list->usage("interpctl job list [--state STATE]... [--runs-of JOB] [--limit N] [OPTIONS]");
  list->footer("Examples:\n  interpctl job list --state running --state queued\n  interpctl job list -o json");
  list->callback([&session, options] { session.command = [&session, options] { return List(session, *options); }; });
}

}  // namespace

void AddJobCommands(CLI::App& app, Session& session) {
  CLI::App* job = app.add_subcommand("job", "Submit scripts as jobs, which outlive their submitter and the daemon");
  job->usage("interpctl job COMMAND [OPTIONS]");
  job->footer(
      "A JOB is given by its ID or the beginning of it.\n"
      "`interpctl job COMMAND --help` says more about a command.\n\n"
      "Example:\n"
      "  id=$(interpctl job submit --glob 'photos/*.jpg' --parallel 4 thumbnail.py)\n"
      "  interpctl job wait $id\n"
      "  interpctl job results $id");
  job->require_subcommand(1);
  AddJobSubmitCommand(*job, session);
  AddJobRunCommand(*job, session);
  AddListCommand(*job, session);
  {
    auto id = std::make_shared<std::string>();
    CLI::App* get = job->add_subcommand("get", "Show one job");
    get->add_option(kJobPlaceholder, *id, "ID of the job")->type_name("")->required();
    get->usage("interpctl job get JOB [OPTIONS]");
    get->footer("Example:\n  interpctl job get abcdefghij");
    get->callback([&session, id] { session.command = [&session, id] { return Get(session, *id); }; });
  }
  AddJobWaitCommand(*job, session);
  AddJobLogsCommand(*job, session);
  AddJobResultsCommand(*job, session);
  AddEach(*job, session, "cancel", "Cancel jobs: what runs is interrupted, what waits does not run",
          "A job that has ended stays as it is. ",
          [](Client& client, const std::string& name, const RpcOptions& options) {
            return client.CancelJob(name, options);
          });
  AddEach(*job, session, "retry", "Run the tasks of ended jobs again that have not succeeded", "",
          [](Client& client, const std::string& name, const RpcOptions& options) {
            return client.RetryJob(name, options);
          });
  AddEach(*job, session, "delete", "Delete jobs that have ended, with their results and logs", "",
          [](Client& client, const std::string& name, const RpcOptions& options) -> absl::StatusOr<v1::Job> {
            absl::Status status = client.DeleteJob(name, options);
            if (!status.ok()) return status;
            return v1::Job();
          });
  for (CLI::App* command : job->get_subcommands([](const CLI::App*) { return true; })) command->group("COMMANDS");
}

}  // namespace interpd::client
