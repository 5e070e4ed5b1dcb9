// Tasks in the engine: which begin, and what their ends mean.
#include <algorithm>
#include <utility>

#include "absl/log/log.h"
#include "absl/strings/str_cat.h"
#include "daemon/errors.h"
#include "daemon/jobs/job_engine.h"
#include "daemon/proto_time.h"

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
    work.outcome().set_error(absl::StrCat("took longer than its timeout of ",
                                          absl::FormatDuration(DecodeDuration(job->record.spec.timeout()))));
  }
  if (end == End::kInterrupted) {
    ++stats_.interrupted_tasks;
    task.state = v1::Task::PENDING;
    SaveTask(*job, std::move(task));
    // Closed by somebody else.
    if (!worker->closing() && !work.recalled) CloseWorker(*job, *worker);
  } else {
    task.outcome = work.outcome().SerializeAsString();
    if (end == End::kSucceeded) {
      --job->running;
      task.state = v1::Task::SUCCEEDED;
      SaveTask(*job, std::move(task));
      ++job->record.succeeded;
      ++stats_.succeeded_tasks;
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
  if (task.failures <= job.record.spec.retries()) {
    ++job.record.retried;
    ++stats_.retried_tasks;
    task.state = v1::Task::PENDING;
    task.due_time = now + job.BackoffAfter(task.failures);
    SetTimer(job, task.due_time);
    SaveTask(job, std::move(task));
    return;
  }
  --job.running;
  task.state = v1::Task::FAILED;
  SaveTask(job, std::move(task));
  ++job.record.failed;
  ++stats_.failed_tasks;
  EndIfComplete(job, now);
}

int64_t JobEngine::SaveTask(ActiveJob& job, TaskRecord task) {
  const int64_t bytes = kRowBytes + static_cast<int64_t>(task.outcome.size());
  unfinished_.Grow(job.record, bytes - std::exchange(task.saved_bytes, bytes));
  MarkDirty(job);
  if (task.state == v1::Task::PENDING) job.PutBack(task);
  unsaved_tasks_.push_back(std::move(task));
  return bytes;
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
    const absl::Duration timeout = has_timeout ? DecodeDuration(job->record.spec.timeout()) : absl::InfiniteDuration();
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
    absl::StatusOr<std::optional<TaskRecord>> taken;
    {
      InJournal in_journal(*this);
      taken = job.TakeTask(now, journal_);
    }
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
      absl::StatusOr<channels::Value> found;
      {
        InJournal in_journal(*this);
        found = job.Item(task.index, journal_, names_of_(job.record.owner));
      }
      if (absl::IsResourceExhausted(found.status())) {
        --task.attempt;
        task.state = v1::Task::PENDING;
        SaveTask(job, std::move(task));
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
    if (task.attempt > 1) task.saved_bytes = SaveTask(job, task);
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
      next_timeout_ = std::min(next_timeout_, taken.worker->head_since() + DecodeDuration(job->record.spec.timeout()));
    }
    if (taken.worker->in_flight().size() > 1)
      next_timeout_ = std::min(next_timeout_, taken.worker->head_since() + kSlowHead);
  }
}

}  // namespace interpd::daemon
