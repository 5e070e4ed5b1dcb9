// What the engine finds in the journal when it starts: jobs that go on, and tasks that were running when the daemon
// ended.
#include <algorithm>
#include <utility>

#include "absl/log/log.h"
#include "absl/strings/str_cat.h"
#include "daemon/jobs/job_engine.h"

namespace interpd::daemon {

absl::Status JobEngine::Recover() {
  // Uploads that nobody can finish any more, and deletions that were not finished.
  for (int state : {kReceivingInputs, kDeleting}) {
    absl::StatusOr<std::vector<JobRecord>> gone = journal_.JobsInStates(state, state);
    if (!gone.ok()) return gone.status();
    for (JobRecord& record : *gone) {
      deleting_.push_back(record.id);
      record.state = kDeleting;
      absl::Status marked = InTransaction(Journal::Sync::kNo, [&] { return journal_.UpdateJob(record); });
      if (!marked.ok()) return marked;
    }
  }
  absl::StatusOr<std::vector<JobRecord>> unfinished = journal_.JobsInStates(v1::Job::SCHEDULED, v1::Job::RUNNING);
  if (!unfinished.ok()) return unfinished.status();
  for (JobRecord& record : *unfinished) Adopt(std::move(record));
  return InTransaction(Journal::Sync::kYes, [this] {
    std::vector<int64_t> ids;
    for (const auto& [id, job] : jobs_) ids.push_back(id);
    std::sort(ids.begin(), ids.end());  // older jobs first, as they came
    for (int64_t id : ids) {
      ActiveJob& job = *Find(id);
      absl::Status recovered = RecoverTasks(job);
      if (recovered.ok()) recovered = Await(job);
      if (!recovered.ok()) return recovered;
      to_settle_.push_back(id);
    }
    std::reverse(to_settle_.begin(), to_settle_.end());  // the last is looked at first
    if (!ids.empty()) LOG(INFO) << "goes on with " << ids.size() << " jobs";
    return absl::OkStatus();
  });
}

absl::Status JobEngine::RecoverTasks(ActiveJob& job) {
  if (job.record.next_index == 0) return absl::OkStatus();
  const int allowed = job.record.spec.max_interruptions();
  bool changed = false;
  const auto interrupted = [&](TaskRecord task) {
    task.state = v1::Task::PENDING;
    ++task.interruptions;
    if (task.interruptions > allowed) {
      task.state = v1::Task::FAILED;
      v1::Task outcome;
      outcome.set_error(absl::StrCat("the daemon ended ", task.interruptions, " times while it ran"));
      task.outcome = outcome.SerializeAsString();
      task.end_time = absl::Now();
      ++job.record.failed;
      changed = true;
    }
    return journal_.SaveTask(task);
  };
  // What was begun for the first time has no row.
  absl::StatusOr<std::vector<int64_t>> missing = journal_.TasksWithoutRow(job.record.id, job.record.next_index);
  if (!missing.ok()) return missing.status();
  int64_t after = -1;
  for (;;) {
    absl::StatusOr<std::vector<TaskRecord>> tasks =
        journal_.UnfinishedTasks(job.record.id, after, job.record.next_index, 1000);
    if (!tasks.ok()) return tasks.status();
    if (tasks->empty()) break;
    for (TaskRecord& task : *tasks) {
      after = task.index;
      if (task.state != v1::Task::RUNNING) continue;
      absl::Status saved = interrupted(std::move(task));
      if (!saved.ok()) return saved;
    }
  }
  for (int64_t index : *missing) {
    absl::Status saved = interrupted({.job = job.record.id, .index = index, .attempt = 1});
    if (!saved.ok()) return saved;
  }
  job.FindInJournal();
  return changed ? journal_.UpdateJob(job.record) : absl::OkStatus();
}

absl::Status JobEngine::Await(ActiveJob& job) {
  if (job.record.state != v1::Job::QUEUED && job.record.state != v1::Job::WAITING) return absl::OkStatus();
  if (job.record.spec.after().empty() || job.record.has_copied_inputs()) return absl::OkStatus();
  InJournal in_journal(*this);
  absl::StatusOr<std::vector<int64_t>> after = journal_.DependenciesOf(job.record.id);
  if (!after.ok()) return after.status();
  for (int64_t id : *after) {
    ActiveJob* active = Find(id);
    if (active != nullptr && !active->record.has_ended()) {
      job.waiting_for.insert(id);
      dependents_[id].push_back(job.record.id);
      continue;
    }
    absl::StatusOr<std::optional<JobRecord>> ended = journal_.FindJob(id);
    if (!ended.ok()) return ended.status();
    const int state = active != nullptr ? active->record.state : ended->has_value() ? (*ended)->state : kDeleting;
    if (state != v1::Job::SUCCEEDED) {
      job.failed_dependency = ended->has_value() ? JobResourceName((*ended)->name) : "a job that was deleted";
    }
  }
  return absl::OkStatus();
}

}  // namespace interpd::daemon
