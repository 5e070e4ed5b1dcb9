// The interpreters of jobs in the engine: made when a job gets a slot, closed when it loses it.
#include <algorithm>
#include <utility>

#include "absl/log/log.h"
#include "absl/strings/str_cat.h"
#include "daemon/errors.h"
#include "daemon/interpreter_proto.h"
#include "daemon/jobs/job_engine.h"
#include "daemon/value_proto.h"

namespace interpd::daemon {
namespace {

// When a daemon that could not make an interpreter tries again.
constexpr absl::Duration kTryAgain = absl::Seconds(1);

// Results of other jobs that a script gets as interpd.task.after, as Values.
constexpr size_t kMaxAfterBytes = size_t{64} << 20;

}  // namespace

void JobEngine::StartWorkers(absl::Time now) {
  while (ActiveJob* job = dispatcher_.NextForSlot(now)) {
    if (job->context == nullptr) {
      absl::Status made = MakeContext(*job);
      if (absl::IsResourceExhausted(made)) return JournalFailed(made);
      if (!made.ok()) {
        v1::JobError error;
        error.set_message(std::string(made.message()));
        Fail(*job, error, now);
        continue;
      }
    }
    auto worker = std::make_shared<JobWorker>(job->context, job->next_worker_number++, *registry_, inbox_,
                                              names_of_(job->record.owner), events_);
    dispatcher_.WorkerStarted(*job, worker);
    worker->Start();
    if (job->record.state == v1::Job::QUEUED) {
      job->record.state = v1::Job::RUNNING;
      if (job->record.start_time == kNoTime) job->record.start_time = now;
      MarkDirty(*job);
    }
    dispatcher_.Update(*job, now);
  }
}

absl::Status JobEngine::MakeContext(ActiveJob& job) {
  InJournal in_journal(*this);
  const JobRecord& record = job.record;
  auto context = std::make_shared<JobContext>();
  context->job = record.id;
  context->name = JobResourceName(record.name);
  context->space = record.owner;
  context->id = record.name;
  context->uid = record.uid;
  context->task_count = record.task_count;
  context->has_inputs = record.has_inputs();
  context->script_name = record.spec.script_name();
  context->args.assign(record.spec.args().begin(), record.spec.args().end());
  context->log_limit_bytes = record.spec.log_limit_bytes();
  context->max_result_bytes = options_.max_result_bytes;
  absl::StatusOr<std::string> script = journal_.Script(record.id);
  if (!script.ok()) return script.status();
  context->script = *std::move(script);
  absl::StatusOr<channels::Value> after = ResultsOfAfter(job);
  if (!after.ok()) return after.status();
  context->after = *std::move(after);
  absl::StatusOr<interp::InterpreterConfig> config = DecodeConfig(record.spec.interpreter(), interpreter_defaults_);
  if (!config.ok()) return config.status();
  context->config = *std::move(config);
  context->config.space = record.owner;
  context->config.queue_limit = 1024;  // what JobWorker counts on
  job.context = std::move(context);
  return absl::OkStatus();
}

absl::StatusOr<channels::Value> JobEngine::ResultsOfAfter(const ActiveJob& job) {
  // A job that maps over them has them as its inputs.
  const bool wanted = !job.record.spec.results_of_after();
  channels::ValueBuilder builder;
  builder.Begin(channels::Kind::kTuple, wanted ? static_cast<size_t>(job.record.spec.after_size()) : 0);
  if (!wanted) return std::move(builder).Finish();
  size_t bytes = 0;
  for (const std::string& name : job.record.spec.after()) {
    absl::StatusOr<std::optional<JobRecord>> after = journal_.FindJob(JobIdOf(name));
    if (!after.ok()) return after.status();
    std::vector<channels::Value> results;
    if (after->has_value()) {
      absl::Status visited = journal_.ForEachResult((*after)->id, [&](std::string_view outcome) -> absl::Status {
        bytes += outcome.size();
        if (bytes > kMaxAfterBytes) {
          return MakeError(absl::StatusCode::kFailedPrecondition, v1::INVALID_VALUE,
                           absl::StrCat("the results of the jobs in `after`, up to ", name, ", take more than ",
                                        kMaxAfterBytes, " bytes; map over them (results_of_after) instead"),
                           {{"field", "after"}});
        }
        v1::Task task;
        if (!task.ParseFromArray(outcome.data(), static_cast<int>(outcome.size()))) {
          return MakeError(absl::StatusCode::kInternal, v1::INTERNAL_ERROR, "the journal's results are damaged");
        }
        absl::StatusOr<channels::Value> value = DecodeValue(task.result(), "result", names_of_((*after)->owner));
        if (!value.ok()) return value.status();
        results.push_back(*std::move(value));
        return absl::OkStatus();
      });
      if (!visited.ok()) return visited;
    }
    builder.Begin(channels::Kind::kTuple, 3);
    builder.Str(name);
    builder.Str(after->has_value() ? (*after)->spec.display_name() : "");
    builder.Begin(channels::Kind::kList, results.size());
    for (const channels::Value& result : results) builder.Append(result);
  }
  return std::move(builder).Finish();
}

void JobEngine::WorkerReady(JobWorker& worker, std::optional<LoadFailure> failure) {
  ActiveJob* job = Find(worker.context().job);
  if (job == nullptr || job->record.has_ended()) return;
  if (!failure) {
    job->load_failures = 0;
    return;
  }
  const absl::Time now = absl::Now();
  const bool was_closed = worker.closing() && failure->is_scripts_fault;
  const bool holds_slot =
      std::any_of(job->workers.begin(), job->workers.end(), [&](const auto& one) { return one.get() == &worker; });
  if (holds_slot) CloseWorker(*job, worker);
  if (was_closed || draining_.load(std::memory_order_relaxed)) return;
  if (!failure->is_scripts_fault) {
    LOG(WARNING) << "jobs/" << job->record.name << " has to wait: " << failure->error.message();
    job->not_before = now + kTryAgain;
  } else if (job->not_before > now) {
    // Several interpreters have failed at the same time: that is one failure.
  } else if (++job->load_failures > job->record.spec.retries()) {
    return Fail(*job, failure->error, now);
  } else {
    ++job->record.retried;
    MarkDirty(*job);
    job->not_before = now + job->BackoffAfter(job->load_failures);
  }
  dispatcher_.Update(*job, now);
  SetTimer(*job, job->not_before);
}

void JobEngine::CloseWorker(ActiveJob& job, JobWorker& worker) {
  const std::shared_ptr<JobWorker> alive = worker.shared_from_this();
  dispatcher_.WorkerClosed(job, worker, absl::Now());
  ++job.closing_workers;
  ++closing_workers_;
  // Tasks that were to begin here go elsewhere.
  for (auto taken = taken_.begin(); taken != taken_.end();) {
    if (taken->worker.get() != &worker) {
      ++taken;
      continue;
    }
    TaskRecord task = std::move(taken->task);
    task.state = v1::Task::PENDING;
    --task.attempt;
    // Also one that has no row yet: it is not among those that were never begun any more.
    SaveTask(job, std::move(task));
    taken = taken_.erase(taken);
  }
  worker.Close(absl::ZeroDuration());
}

void JobEngine::WorkerGone(JobWorker& worker) {
  on_interpreter_closed_();
  --closing_workers_;
  ActiveJob* job = Find(worker.context().job);
  if (job == nullptr) return;
  if (--job->closing_workers == 0) {
    for (RetryWaiting& retry : std::exchange(job->retries, {})) DoRetry(retry.owner, retry.name, std::move(retry.done));
    job = Find(worker.context().job);
    if (job == nullptr) return;
  }
  ForgetIfOver(*job);
}

}  // namespace interpd::daemon
