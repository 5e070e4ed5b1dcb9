// Tasks in the engine: which begin, on which interpreters, and what their ends mean.
#include <algorithm>
#include <utility>

#include "absl/log/log.h"
#include "absl/strings/str_cat.h"
#include "daemon/errors.h"
#include "daemon/interpreter_proto.h"
#include "daemon/jobs/job_engine.h"
#include "daemon/proto_time.h"
#include "daemon/value_proto.h"

namespace interpd::daemon {
namespace {

// How long code that was interrupted because of its timeout may take to end, before its interpreter is closed.
constexpr absl::Duration kInterruptTime = absl::Seconds(10);

// Tasks that wait behind one that runs for so long go back: another interpreter may be free.
constexpr absl::Duration kSlowHead = absl::Milliseconds(500);

// How long loading a script may take, unless its job has a timeout.
constexpr absl::Duration kLoadTime = absl::Minutes(10);

// Inputs of a job that cannot be had, in one round: each fails a task, and there may be a million.
constexpr int kBadInputs = 100;

constexpr absl::Duration kLongestBackoff = absl::Hours(1);

// When a daemon that could not make an interpreter tries again.
constexpr absl::Duration kTryAgain = absl::Seconds(1);

// Results of other jobs that a script gets as interpd.task.after, as Values.
constexpr size_t kMaxAfterBytes = size_t{64} << 20;

absl::Duration ToDuration(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
}

absl::Duration Backoff(const v1::JobSpec& spec, int failures) {
  absl::Duration backoff = ToDuration(spec.backoff());
  for (int i = 1; i < failures && backoff < kLongestBackoff; ++i) backoff *= 2;
  return std::min(backoff, kLongestBackoff);
}

bool IsInterrupt(const v1::Task& outcome) { return outcome.exception().type() == "KeyboardInterrupt"; }

}  // namespace

// ---- how attempts end -----------------------------------------------------------------------------------------------

void JobEngine::TaskEnded(TaskWork& work, absl::Time now) {
  TakeLogs(work, true);
  const std::shared_ptr<JobWorker> worker = std::move(work.worker);
  worker->Ended(work, now);
  TaskRecord task = work.task();
  ActiveJob* job = Find(task.job);
  if (job == nullptr || job->record.has_ended() || job->record.state == kDeleting) return;
  task.end_time = work.end_time();
  task.start_time = task.end_time - work.run_time();

  using End = TaskWork::End;
  const bool draining = draining_.load(std::memory_order_relaxed);
  End end = work.end();
  // A drain interrupts with KeyboardInterrupt, as a timeout does.
  if (end == End::kFailed && draining && IsInterrupt(work.outcome())) end = End::kInterrupted;
  if (work.timed_out && end != End::kSucceeded) {
    end = End::kFailed;
    work.outcome().Clear();
    work.outcome().set_error(
        absl::StrCat("took longer than its timeout of ", absl::FormatDuration(ToDuration(job->record.spec.timeout()))));
  }
  if (end == End::kInterrupted) {
    ++stats_.interrupted_tasks;
    task.state = v1::Task::PENDING;
    job->PutBack(task);
    unsaved_tasks_.push_back(std::move(task));
    // Closed by somebody else.
    if (!worker->closing() && !work.recalled) CloseWorker(*job, *worker);
  } else {
    task.outcome = work.outcome().SerializeAsString();
    if (end == End::kSucceeded) {
      --job->running;
      task.state = v1::Task::SUCCEEDED;
      unsaved_tasks_.push_back(std::move(task));
      ++job->record.succeeded;
      ++stats_.succeeded_tasks;
      MarkDirty(*job);
      EndIfComplete(*job, now);
    } else {
      TaskFailed(*job, std::move(task), now);
    }
    // A script without inputs has its interpreter for itself, each time.
    if (!job->record.has_ended() && !worker->closing() && !worker->context().has_inputs) CloseWorker(*job, *worker);
  }
  if (!job->record.has_ended()) dispatcher_.Update(*job, now);
}

void JobEngine::TaskFailed(ActiveJob& job, TaskRecord task, absl::Time now) {
  ++task.failures;
  MarkDirty(job);
  if (task.failures <= job.record.spec.retries()) {
    ++job.record.retried;
    ++stats_.retried_tasks;
    task.state = v1::Task::PENDING;
    task.due_time = now + Backoff(job.record.spec, task.failures);
    job.PutBack(task);
    SetTimer(job, task.due_time);
    unsaved_tasks_.push_back(std::move(task));
    return;
  }
  --job.running;
  task.state = v1::Task::FAILED;
  unsaved_tasks_.push_back(std::move(task));
  ++job.record.failed;
  ++stats_.failed_tasks;
  EndIfComplete(job, now);
}

void JobEngine::RecallWaiting(JobWorker& worker) {
  // A copy: those that wait end at once, which comes back through the inbox.
  const std::vector<std::shared_ptr<TaskWork>> waiting(worker.in_flight().begin() + 1, worker.in_flight().end());
  for (const std::shared_ptr<TaskWork>& work : waiting) {
    if (!std::exchange(work->recalled, true)) worker.Cancel(work);
  }
}

void JobEngine::EnforceTimeouts(absl::Time now) {
  next_timeout_ = absl::InfiniteFuture();
  std::vector<std::pair<ActiveJob*, std::shared_ptr<JobWorker>>> stuck;
  std::vector<std::pair<std::shared_ptr<JobWorker>, absl::Duration>> unready;
  for (ActiveJob* job : dispatcher_.working()) {
    const bool has_timeout = job->record.spec.has_timeout();
    const absl::Duration timeout = has_timeout ? ToDuration(job->record.spec.timeout()) : absl::InfiniteDuration();
    for (const std::shared_ptr<JobWorker>& worker : job->workers) {
      if (!worker->ready()) {
        const absl::Duration limit = has_timeout ? timeout : kLoadTime;
        if (worker->start_time() + limit <= now) {
          unready.emplace_back(worker, limit);
        } else {
          next_timeout_ = std::min(next_timeout_, worker->start_time() + limit);
        }
      }
      if (worker->in_flight().empty()) continue;
      const std::shared_ptr<TaskWork>& head = worker->in_flight().front();
      if (worker->in_flight().size() > 1 && worker->head_since() + kSlowHead <= now) {
        RecallWaiting(*worker);
      } else if (worker->in_flight().size() > 1) {
        next_timeout_ = std::min(next_timeout_, worker->head_since() + kSlowHead);
      }
      if (!has_timeout) continue;
      if (!head->timed_out && worker->head_since() + timeout <= now) {
        head->timed_out = true;
        worker->give_up_at = now + kInterruptTime;
        worker->Cancel(head);
      }
      if (!head->timed_out) {
        next_timeout_ = std::min(next_timeout_, worker->head_since() + timeout);
      } else if (worker->give_up_at <= now) {
        stuck.emplace_back(job, worker);
      } else {
        next_timeout_ = std::min(next_timeout_, worker->give_up_at);
      }
    }
  }
  for (auto& [worker, limit] : unready) {
    LoadFailure failure;
    failure.error.set_message(absl::StrCat("loading the script took longer than ", absl::FormatDuration(limit)));
    worker->FailSetUp(std::move(failure));
  }
  // What runs ends with it, interrupted.
  for (auto& [job, worker] : stuck) CloseWorker(*job, *worker);
}

// ---- interpreters ---------------------------------------------------------------------------------------------------

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
  absl::StatusOr<interp::InterpreterConfig> config =
      DecodeConfig(record.spec.interpreter(), options_.interpreter_defaults);
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
    absl::StatusOr<std::optional<JobRecord>> after =
        journal_.FindJob(std::string_view(name).substr(name.find('/') + 1));
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
        absl::StatusOr<channels::Value> value = DecodeValue(task.result(), "result", names_of_(job.record.owner));
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
    job->not_before = now + Backoff(job->record.spec, job->load_failures);
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
    job.PutBack(task);
    // Also one that has no row yet: it is not among those that were never begun any more.
    unsaved_tasks_.push_back(std::move(task));
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

// ---- what begins ----------------------------------------------------------------------------------------------------

void JobEngine::TakeTasks(absl::Time now) {
  if (suspect_ != nullptr && (!suspect_->alone || suspect_->closing())) suspect_ = nullptr;
  std::vector<ActiveJob*> working(dispatcher_.working().begin(), dispatcher_.working().end());
  for (ActiveJob* job : working) {
    // A copy: interpreters that have nothing to do are closed.
    for (const std::shared_ptr<JobWorker>& worker : std::vector(job->workers)) {
      if (job->record.has_ended()) break;
      if (!worker->ready() || worker->closing()) continue;
      TakeTasksFor(*job, worker, now);
    }
    if (!job->record.has_ended()) dispatcher_.Update(*job, now);
  }
}

void JobEngine::TakeTasksFor(ActiveJob& job, const std::shared_ptr<JobWorker>& worker, absl::Time now) {
  size_t count = worker->in_flight().size();
  count += static_cast<size_t>(
      std::count_if(taken_.begin(), taken_.end(), [&](const Taken& taken) { return taken.worker == worker; }));
  const bool is_held_up = !worker->in_flight().empty() && worker->head_since() + kSlowHead <= now;
  const size_t window = is_held_up ? 1 : worker->window();
  int bad_inputs = 0;
  while (count < window && !worker->yielding && !worker->alone) {
    if (!worker->context().has_inputs && worker->begun_count() + static_cast<int64_t>(count) > 0) break;
    absl::StatusOr<std::optional<TaskRecord>> taken = job.TakeTask(now, journal_);
    if (!taken.ok()) return JournalFailed(taken.status());
    if (!taken->has_value()) break;
    TaskRecord task = **std::move(taken);
    if (task.interruptions > 0) {
      // It may have been the one that ended the daemon: nothing else shall suffer with it. From the second time on,
      // none that was interrupted twice itself either.
      const bool suspect = task.interruptions > 1;
      if (count > 0 || (suspect && suspect_ != nullptr && suspect_ != worker)) {
        --task.attempt;
        task.state = v1::Task::PENDING;
        job.PutBack(task);
        break;
      }
      worker->alone = true;
      if (suspect) suspect_ = worker;
    }
    channels::Value item;
    if (worker->context().has_inputs) {
      absl::StatusOr<channels::Value> found = job.Item(task.index, journal_, names_of_(job.record.owner));
      if (absl::IsResourceExhausted(found.status())) {
        --task.attempt;
        task.state = v1::Task::PENDING;
        job.PutBack(task);
        unsaved_tasks_.push_back(std::move(task));
        return JournalFailed(found.status());
      }
      if (!found.ok()) {
        v1::Task outcome;
        outcome.set_error(absl::StrCat("its input: ", found.status().message()));
        task.outcome = outcome.SerializeAsString();
        task.start_time = task.end_time = now;
        worker->alone = false;
        TaskFailed(job, std::move(task), now);
        if (job.record.has_ended()) return;
        if (++bad_inputs < kBadInputs) continue;
        again_ = true;
        break;
      }
      item = *std::move(found);
    }
    MarkDirty(job);
    // The first attempt is told by next_index alone.
    if (task.attempt > 1) unsaved_tasks_.push_back(task);
    taken_.push_back({worker, std::move(task), std::move(item)});
    ++count;
  }
  if (count > 0) return;
  if (!worker->yielding && job.HasTask(now)) return;
  // Nothing to do: the slot is for others, in the next round.
  CloseWorker(job, *worker);
  again_ = true;
}

void JobEngine::BeginTaken() {
  for (Taken& taken : std::exchange(taken_, {})) {
    taken.worker->Begin(taken.task, taken.item);
    if (ActiveJob* job = Find(taken.task.job); job != nullptr && job->record.spec.has_timeout()) {
      next_timeout_ = std::min(next_timeout_, taken.worker->head_since() + ToDuration(job->record.spec.timeout()));
    }
    if (taken.worker->in_flight().size() > 1)
      next_timeout_ = std::min(next_timeout_, taken.worker->head_since() + kSlowHead);
  }
}

}  // namespace interpd::daemon
