// The life of a job in the engine: waiting, ended, cancelled, retried, deleted.
#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/log/log.h"
#include "absl/strings/str_cat.h"
#include "daemon/errors.h"
#include "daemon/jobs/channel_references.h"
#include "daemon/jobs/cron.h"
#include "daemon/jobs/job_engine.h"
#include "daemon/jobs/job_errors.h"
#include "daemon/proto_time.h"

namespace interpd::daemon {
namespace {

// What a batch of inputs that is made here holds at most.
constexpr int kBatchValues = 1000;
constexpr size_t kBatchBytes = 256 << 10;

// When something that failed for a reason of ours is tried again.
constexpr absl::Duration kTryAgain = absl::Seconds(1);

absl::Time StartTime(const v1::JobSpec& spec) {
  if (!spec.has_start_time()) return absl::InfinitePast();
  return absl::FromUnixSeconds(spec.start_time().seconds()) + absl::Nanoseconds(spec.start_time().nanos());
}

bool IsUnbegun(const JobRecord& record) {
  return record.state == v1::Job::SCHEDULED || record.state == v1::Job::WAITING || record.state == v1::Job::QUEUED;
}

v1::JobError ErrorOf(std::string_view message) {
  v1::JobError error;
  error.set_message(std::string(message));
  return error;
}

}  // namespace

// ---- from state to state --------------------------------------------------------------------------------------------

void JobEngine::Settle(ActiveJob& job, absl::Time now) {
  JobRecord& record = job.record;
  if (record.has_ended() || record.state == kDeleting) return;
  const int before = record.state;
  if (!record.spec.cron().empty()) return RunCron(job, now);
  if (IsUnbegun(record)) {
    if (!job.failed_dependency.empty()) {
      return Fail(job, ErrorOf(absl::StrCat(job.failed_dependency, ", which it comes after, has not succeeded")), now);
    }
    if (!job.waiting_for.empty()) {
      record.state = v1::Job::WAITING;
    } else if (StartTime(record.spec) > now) {
      record.state = v1::Job::SCHEDULED;
      record.due_time = StartTime(record.spec);
      SetTimer(job, record.due_time);
    } else {
      record.state = v1::Job::QUEUED;
      record.due_time = kNoTime;
      if (record.spec.results_of_after() && record.task_count == 0) {
        absl::Status copied = CopyResultsAsInputs(job);
        // What is wrong with the results stays so.
        if (absl::IsInvalidArgument(copied) || absl::IsInternal(copied))
          return Fail(job, ErrorOf(copied.message()), now);
        if (!copied.ok()) {
          LOG(WARNING) << "jobs/" << record.name << " has to wait: " << copied.message();
          record.state = v1::Job::WAITING;
          SetTimer(job, now + kTryAgain);
        }
      }
    }
  }
  if (record.state != before) MarkDirty(job);
  EndIfComplete(job, now);
  if (record.has_ended()) return;
  dispatcher_.Update(job, now);
  if (record.state == v1::Job::RUNNING || record.state == v1::Job::QUEUED) {
    // What could be begun now is begun when a slot or an interpreter is free.
    const absl::Time next = std::max(job.NextTaskTime(), job.not_before);
    if (next > now) SetTimer(job, next);
  }
}

absl::StatusOr<std::vector<JobRecord>> JobEngine::SourcesOf(const JobRecord& record) {
  InJournal in_journal(*this);
  std::vector<JobRecord> sources;
  absl::flat_hash_set<std::string_view> seen;
  int64_t results = 0;
  for (const std::string& name : record.spec.after()) {
    if (!seen.insert(name).second) continue;  // as older journals have it
    absl::StatusOr<std::optional<JobRecord>> source = journal_.FindJob(JobIdOf(name));
    if (!source.ok()) return source.status();
    if (!source->has_value()) continue;
    results += (*source)->succeeded;
    // More would have the keys of another job's inputs.
    if (results >= kMaxTasks) return TooManyTasks();
    sources.push_back(**std::move(source));
  }
  return sources;
}

absl::Status JobEngine::CopyResultsAsInputs(ActiveJob& job) {
  JobRecord copy = job.record;
  absl::StatusOr<std::vector<JobRecord>> sources = SourcesOf(copy);
  if (!sources.ok()) return sources.status();
  absl::StatusOr<std::vector<int64_t>> others = journal_.DependenciesOf(copy.id);
  if (!others.ok()) return others.status();
  const auto is_theirs = [&](const TaskRecord& task) {
    return std::find(others->begin(), others->end(), task.job) != others->end();
  };
  if (std::any_of(unsaved_tasks_.begin(), unsaved_tasks_.end(), is_theirs)) {
    return absl::UnavailableError("the journal does not have all results of the others yet");
  }
  absl::Status copied = InTransaction(Journal::Sync::kNo, [&] {
    v1::ValueBatch batch;
    int64_t first = 0;
    size_t bytes = 0;
    const auto write = [&] {
      const int count = batch.runs_size() == 0 ? 0 : batch.runs(0).values().items_size();
      if (count == 0) return absl::OkStatus();
      const std::string serialized = batch.SerializeAsString();
      absl::Status inserted = journal_.InsertInput(copy.id, first, serialized);
      first += count;
      copy.bytes += kRowBytes + static_cast<int64_t>(serialized.size());
      batch.Clear();
      bytes = 0;
      return inserted;
    };
    for (const JobRecord& source : *sources) {
      const bool is_others = source.owner != copy.owner;
      absl::Status visited = journal_.ForEachResult(source.id, [&](std::string_view outcome) {
        v1::Task task;
        if (!task.ParseFromArray(outcome.data(), static_cast<int>(outcome.size())) || !task.has_result()) {
          return MakeError(absl::StatusCode::kInternal, v1::INTERNAL_ERROR, "the journal's results are damaged");
        }
        if (is_others) {
          TranslateChannels(names_of_(source.owner), names_of_(copy.owner), task.mutable_result());
        }
        if (batch.runs_size() == 0) batch.add_runs();
        v1::ValueBatch::Values& values = *batch.mutable_runs(0)->mutable_values();
        values.mutable_items()->AddAllocated(task.release_result());
        bytes += outcome.size();
        return values.items_size() >= kBatchValues || bytes >= kBatchBytes ? write() : absl::OkStatus();
      });
      if (!visited.ok()) return visited;
    }
    absl::Status written = write();
    copy.task_count = first;
    return written.ok() ? journal_.UpdateJob(copy) : written;
  });
  if (!copied.ok()) return copied;
  unfinished_.Grow(job.record, copy.bytes - job.record.bytes);
  job.record = std::move(copy);
  return copied;
}

void JobEngine::EndIfComplete(ActiveJob& job, absl::Time now) {
  const JobRecord& record = job.record;
  const bool begins = record.state == v1::Job::QUEUED || record.state == v1::Job::RUNNING;
  if (!begins || record.succeeded + record.failed < record.task_count) return;
  End(job, record.failed > 0 ? v1::Job::FAILED : v1::Job::SUCCEEDED, now);
}

void JobEngine::Fail(ActiveJob& job, const v1::JobError& error, absl::Time now) {
  job.record.error = error.SerializeAsString();
  End(job, v1::Job::FAILED, now);
}

void JobEngine::End(ActiveJob& job, v1::Job::State state, absl::Time now) {
  JobRecord& record = job.record;
  record.state = state;
  record.end_time = now;
  record.due_time = kNoTime;
  MarkDirty(job);
  sync_next_ = true;
  while (!job.workers.empty()) CloseWorker(job, *job.workers.back());
  std::erase_if(taken_, [&](const Taken& taken) { return taken.task.job == record.id; });
  job.running = 0;
  dispatcher_.Remove(job);
  if (auto timer = timer_of_.find(record.id); timer != timer_of_.end()) {
    timers_.erase({timer->second, record.id});
    timer_of_.erase(timer);
  }
  job.Forget();
  if (auto dependents = dependents_.find(record.id); dependents != dependents_.end()) {
    for (int64_t id : dependents->second) {
      ActiveJob* dependent = Find(id);
      if (dependent == nullptr) continue;
      dependent->waiting_for.erase(record.id);
      if (state != v1::Job::SUCCEEDED) dependent->failed_dependency = JobResourceName(record.name);
      // Results that are to be its inputs must be in the journal first: it is settled after the next Flush.
      SetTimer(*dependent, now + absl::Nanoseconds(1));
    }
    dependents_.erase(dependents);
  }
}

void JobEngine::SetTimer(ActiveJob& job, absl::Time time) {
  if (time == absl::InfiniteFuture()) return;
  auto [timer, is_new] = timer_of_.emplace(job.record.id, time);
  if (!is_new) {
    if (timer->second <= time) return;
    timers_.erase({timer->second, job.record.id});
    timer->second = time;
  }
  timers_.emplace(time, job.record.id);
}

void JobEngine::RunCron(ActiveJob& job, absl::Time now) {
  JobRecord& record = job.record;
  absl::StatusOr<Cron> cron = Cron::Parse(record.spec.cron());
  const absl::TimeZone zone = absl::LocalTimeZone();
  if (!cron.ok()) return Fail(job, ErrorOf(absl::StrCat("its cron expression ", cron.status().message())), now);
  const bool is_due = record.state == v1::Job::SCHEDULED && record.due_time != kNoTime && record.due_time <= now;
  if (is_due && draining_.load(std::memory_order_relaxed)) return;  // when the daemon is there again
  if (is_due) {
    ActiveJob* last = Find(record.last_run);
    absl::Status room = CheckRoom(record.owner, {.jobs = 1}, 1);
    if (!room.ok()) {
      LOG(WARNING) << "jobs/" << record.name << " is due, and left out: " << room.message();
    } else if (last == nullptr || last->record.has_ended()) {
      SubmitCommand submit = {.owner = record.owner, .complete = true};
      InJournal in_journal(*this);
      absl::StatusOr<std::string> script = journal_.Script(record.id);
      absl::Status made = script.status();
      if (made.ok()) {
        NewJob& run = submit.jobs.emplace_back(NewJob{.spec = record.spec, .script = *std::move(script)});
        run.spec.clear_cron();
        run.spec.clear_start_time();
        submit.parent = &record;
        made = InTransaction(Journal::Sync::kYes, [&] {
          absl::Status inserted = Insert(submit);
          if (!inserted.ok()) return inserted;
          JobRecord updated = record;
          ++updated.run_count;
          updated.last_run = submit.records[0].id;
          updated.last_run_name = submit.records[0].name;
          inserted = journal_.UpdateJob(updated);
          if (inserted.ok()) record = std::move(updated);
          return inserted;
        });
      }
      if (!made.ok()) {
        LOG(ERROR) << "jobs/" << record.name << " is due: " << made.message();
        return SetTimer(job, now + kTryAgain);
      }
      Admit(std::move(submit.records[0]));
    } else {
      LOG(WARNING) << "jobs/" << record.name << " is due, but jobs/" << last->record.name << " has not ended: left out";
    }
  }
  if (record.state != v1::Job::SCHEDULED || is_due || record.due_time == kNoTime) {
    // The start time itself may be the first.
    std::optional<absl::Time> next = cron->Next(std::max(now, StartTime(record.spec) - absl::Nanoseconds(1)), zone);
    if (!next) return Fail(job, ErrorOf("its cron expression is never due"), now);
    record.state = v1::Job::SCHEDULED;
    record.due_time = *next;
    MarkDirty(job);
  }
  SetTimer(job, record.due_time);
}

// ---- what clients do to jobs ----------------------------------------------------------------------------------------

void JobEngine::DoCancel(const std::string& owner, const std::string& name, Answer done) {
  absl::StatusOr<ActiveJob*> job = FindOrLoad(owner, name);
  if (!job.ok()) return std::move(done)(job.status());
  if (!(*job)->record.has_ended()) End(**job, v1::Job::CANCELLED, absl::Now());
  answers_.emplace_back(std::move(done), (*job)->record);
  ForgetIfOver(**job);
}

void JobEngine::DoRetry(const std::string& owner, const std::string& name, Answer done) {
  // Rows of its tasks that are not written yet must not come behind those that are written here.
  std::vector<SubmitCommand> none;
  absl::Status flushed = Flush(none);
  if (!flushed.ok()) return std::move(done)(flushed);
  absl::StatusOr<ActiveJob*> found = FindOrLoad(owner, name);
  if (!found.ok()) return std::move(done)(found.status());
  ActiveJob& job = **found;
  JobRecord record = job.record;
  const auto refuse = [&](std::string_view problem) {
    ForgetIfOver(job);
    std::move(done)(WrongJobState(name, record.state, problem));
  };
  if (!record.has_ended()) return refuse("it has not ended; there is nothing to retry yet");
  if (record.state == v1::Job::SUCCEEDED) return refuse("all of its tasks have succeeded");
  if (!record.spec.cron().empty()) return refuse("it has a cron expression; submit it again");
  absl::StatusOr<std::string> lost = LostOf(record);
  if (!lost.ok()) {
    ForgetIfOver(job);
    return std::move(done)(lost.status());
  }
  if (!lost->empty()) return refuse(*lost);
  // It counts already, since it is in memory.
  absl::Status room = CheckRoom(record.owner, {}, 0);
  if (!room.ok()) {
    ForgetIfOver(job);
    return std::move(done)(room);
  }
  if (job.closing_workers > 0) {
    job.retries.push_back({owner, name, std::move(done)});
    return;
  }
  record.state = v1::Job::QUEUED;
  record.failed = 0;
  record.end_time = kNoTime;
  record.error.clear();
  absl::Status written = InTransaction(Journal::Sync::kYes, [&] {
    // What was running when it was cancelled, for the first time, has no rows.
    absl::StatusOr<std::vector<int64_t>> missing = journal_.TasksWithoutRow(record.id, record.next_index);
    if (!missing.ok()) return missing.status();
    absl::Status status = journal_.ResetTasks(record.id);
    for (int64_t index : *missing) {
      if (status.ok()) status = journal_.SaveTask({.job = record.id, .index = index, .attempt = 1});
    }
    return status.ok() ? journal_.UpdateJob(record) : status;
  });
  if (!written.ok()) {
    ForgetIfOver(job);
    return std::move(done)(written);
  }
  job.record = std::move(record);
  job.failed_dependency.clear();
  job.load_failures = 0;
  job.not_before = absl::InfinitePast();
  job.FindInJournal();
  absl::Status awaited = Await(job);
  if (!awaited.ok()) LOG(ERROR) << "jobs/" << name << ": " << awaited.message();
  Settle(job, absl::Now());
  again_ = true;
  answers_.emplace_back(std::move(done), job.record);
}

absl::StatusOr<std::string> JobEngine::LostOf(const JobRecord& record) {
  InJournal in_journal(*this);
  if (record.spec.has_values() && record.input_of != record.id) {
    absl::StatusOr<std::optional<JobRecord>> source = journal_.FindJob(record.input_of);
    if (!source.ok()) return source.status();
    if (!source->has_value() || (*source)->state == kDeleting) {
      return "its inputs were deleted with the job that has made it; submit it again";
    }
  }
  if (record.has_copied_inputs()) return "";
  for (const std::string& name : record.spec.after()) {
    absl::StatusOr<std::optional<Journal::Key>> after = journal_.FindKey(JobIdOf(name));
    if (!after.ok()) return after.status();
    if (!after->has_value()) return absl::StrCat(name, ", which it comes after, was deleted; submit it again without");
  }
  return "";
}

void JobEngine::DoDelete(const std::string& owner, const std::string& name, Answer done) {
  absl::StatusOr<ActiveJob*> found = FindOrLoad(owner, name);
  if (!found.ok()) return std::move(done)(found.status());
  ActiveJob& job = **found;
  const auto refuse = [&](std::string_view problem) {
    ForgetIfOver(job);
    std::move(done)(WrongJobState(name, job.record.state, problem));
  };
  if (!job.record.has_ended() && job.record.state != v1::Job::SCHEDULED) return refuse("cancel it first");
  InJournal in_journal(*this);
  absl::StatusOr<std::vector<int64_t>> dependents = journal_.DependentsOf(job.record.id);
  if (!dependents.ok()) {
    ForgetIfOver(job);
    return std::move(done)(dependents.status());
  }
  if (!dependents->empty()) {
    return refuse(absl::StrCat(dependents->size(), " jobs that have not ended come after it or use its inputs"));
  }
  if (!job.record.has_ended()) End(job, v1::Job::CANCELLED, absl::Now());
  job.record.state = kDeleting;
  MarkDirty(job);
  sync_next_ = true;
  deleting_.push_back(job.record.id);
  answers_.emplace_back(std::move(done), job.record);
  again_ = true;
}

}  // namespace interpd::daemon
