// job run
#include <unistd.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "client/cli/commands.h"
#include "client/cli/job_commands.h"
#include "client/cli/job_log.h"
#include "client/cli/job_print.h"
#include "client/cli/job_submission.h"
#include "client/cli/print.h"
#include "client/cli/restarts.h"

namespace interpd::client {
namespace {

// For the RPC that a signal causes: a daemon that does not answer must not keep the user waiting.
constexpr absl::Duration kCancelTimeout = absl::Seconds(5);

// Of tasks that have failed, those that are told of.
constexpr int kMaxErrors = 10;

// The job while it is waited for: from its construction to its destruction the first Ctrl-C cancels it, and its end is
// then waited for; a second one leaves. SIGTERM and SIGHUP cancel it and leave.
//
// Thread safety: all methods may be called by any thread.
class RunningJob {
 public:
  RunningJob(Session& session, Client& client, std::string name)
      : session_(session), client_(client), name_(std::move(name)) {
    previous_ = session_.interrupts().SetHandler([this](int count) { OnSignal(count); });
    // A signal that came while it was submitted is not forgotten.
    if (session_.interrupts().exit_code() != 0) Cancel();
  }
  ~RunningJob() { session_.interrupts().SetHandler(std::move(previous_)); }

  RunningJob(const RunningJob&) = delete;
  RunningJob& operator=(const RunningJob&) = delete;

  // Tries it once.
  void Cancel() {
    absl::MutexLock lock(mutex_);
    if (std::exchange(tried_, true)) return;
    absl::StatusOr<v1::Job> job = client_.CancelJob(name_, {.timeout = kCancelTimeout});
    if (job.ok()) {
      cancelled_ = job->state();
    } else {
      session_.Err(absl::StrCat("interpctl: job ", JobId(name_), " was not cancelled: ", job.status().message(), "\n"));
    }
  }

  // Says why it is waited for no more, and how to come back to it. Returns the exit code.
  int Leave(const absl::Status& status) {
    const int code = session_.Fail(status);
    if (absl::IsDeadlineExceeded(status) || session_.interrupts().exit_code() != 0) Cancel();
    if (!absl::IsNotFound(status)) SayWhatBecomesOfIt();
    return code;
  }

 private:
  void OnSignal(int count) {
    if (!std::exchange(signalled_, true)) Cancel();
    if (count == 1) return;
    SayWhatBecomesOfIt();
    _exit(session_.interrupts().exit_code());
  }

  void SayWhatBecomesOfIt() {
    absl::MutexLock lock(mutex_);
    const std::string_view id = JobId(name_);
    const std::string what = cancelled_.has_value() ? absl::StrCat(": ", JobStateName(*cancelled_))
                                                    : absl::StrCat(" goes on; to wait for it: interpctl job wait ", id);
    session_.Err(absl::StrCat("interpctl: job ", id, what, "\n"));
  }

  Session& session_;
  Client& client_;
  const std::string name_;
  Interrupts::Handler previous_;
  bool signalled_ = false;  // of the handler alone
  absl::Mutex mutex_;       // held while the cancel is under way
  bool tried_ ABSL_GUARDED_BY(mutex_) = false;
  // What the job was when it had been cancelled; none: it was not, or that is not known.
  std::optional<v1::Job::State> cancelled_ ABSL_GUARDED_BY(mutex_);
};

// Says what has failed. Returns the exit code of the one task of a script without inputs, else 1.
int ReportFailures(Session& session, Client& client, const v1::Job& job) {
  const bool plain = job.spec().inputs_case() == v1::JobSpec::INPUTS_NOT_SET;
  if (job.has_error()) {
    session.Err(absl::StrCat(job.error().exception().formatted(), "interpctl: job ", JobId(job.name()), ": ",
                             job.error().message(), "\n"));
  }
  v1::JobResultsRequest request;
  request.set_name(job.name());
  request.add_states(v1::Task::FAILED);
  int code = kPythonRaised;
  int64_t failed = 0;
  absl::Status status = AcrossRestarts(session, client, [&](const RpcOptions& options) {
    failed = 0;
    return client.JobResults(
        request,
        [&](const v1::Task& task) {
          if (++failed > kMaxErrors) return;
          if (!plain) {
            session.Err(absl::StrCat("interpctl: task ", task.index(), " failed: ", TaskError(task), "\n"));
          } else if (task.has_exception()) {
            session.Err(task.exception().formatted());
          } else if (task.exit_code() != 0) {
            // sys.exit(256) ends a process with 0, but the task has failed.
            code = ExitCodeOfSystemExit(task.exit_code());
            if (code == kOk) code = kPythonRaised;
          } else {
            session.Err(absl::StrCat("interpctl: ", TaskError(task), "\n"));
          }
        },
        options);
  });
  if (!status.ok()) return session.Fail(status);
  if (!plain && failed > 0) {
    session.Err(
        absl::StrCat("interpctl: job ", JobId(job.name()), ": ", failed, " of ", job.task_count(), " tasks failed\n"));
  }
  return code;
}

int Run(Session& session, const Submission& submission) {
  if (submission.file.empty()) {
    return session.Fail(absl::InvalidArgumentError("say what to run: FILE, or - for standard input"));
  }
  absl::StatusOr<Client*> client = session.client();
  if (!client.ok()) return session.Fail(client.status());
  bool watch = false;
  absl::StatusOr<v1::Job> job = SubmitScript(session, **client, submission, &watch);
  if (!job.ok()) return session.Fail(job.status());
  const std::string name = job->name();
  {
    RunningJob running(session, **client, name);
    const bool plain = job->spec().inputs_case() == v1::JobSpec::INPUTS_NOT_SET;
    absl::Status status = ShowJobLog(session, **client, name, std::nullopt, /*follow=*/true,
                                     plain ? LogForm::kPlain : LogForm::kPrefixed);
    // Nobody reads what it prints: as SIGPIPE would, this ends it.
    if (session.output_closed()) running.Cancel();
    if (!status.ok()) return running.Leave(status);
    status = AcrossRestarts(session, **client, [&](const RpcOptions& options) {
      job = (*client)->GetJob(name, options);
      return job.status();
    });
    if (!status.ok()) return running.Leave(status);
  }
  if (session.json()) session.Out(JsonDocument(*job));
  switch (job->state()) {
    case v1::Job::SUCCEEDED: return kOk;
    case v1::Job::CANCELLED: {
      if (session.interrupts().exit_code() != 0) return session.interrupts().exit_code();
      session.Err(absl::StrCat("interpctl: job ", JobId(job->name()), " was cancelled\n"));
      return kJobCancelled;
    }
    default: return ReportFailures(session, **client, *job);
  }
}

}  // namespace

void AddJobRunCommand(CLI::App& job, Session& session) {
  auto submission = std::make_shared<Submission>();
  submission->foreground = true;
  CLI::App* run = job.add_subcommand("run", "Submit a script as a job, show what it writes, and end as it does");
  AddSubmissionOptions(*run, *submission, {"every", "watch"});
  run->usage("interpctl job run [OPTIONS] (FILE | -) [ARG]...");
  run->footer(
      "The exit code is 0 when all tasks have succeeded, that of the script when it has no inputs, else 1. Ctrl-C\n"
      "cancels the job and waits for its end, a second one leaves; SIGTERM, and the end of --timeout before `job`,\n"
      "cancel it and leave. With -o json what the tasks write goes to standard error, and standard output has the job\n"
      "as it is in the end. A script can call this by its first line:\n"
      "  #!/usr/bin/env -S interpctl job run\n\n"
      "Examples:\n"
      "  interpctl job run --timeout 10m report.py --month 7\n"
      "  interpctl job run --glob '*.log' --parallel 2 count.py");
  run->callback(
      [&session, submission] { session.command = [&session, submission] { return Run(session, *submission); }; });
}

}  // namespace interpd::client
