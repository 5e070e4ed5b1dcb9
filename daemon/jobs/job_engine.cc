#include "daemon/jobs/job_engine.h"

#include <algorithm>
#include <utility>

#include "absl/log/check.h"
#include "absl/log/log.h"
#include "absl/strings/str_cat.h"
#include "daemon/errors.h"
#include "daemon/jobs/job_errors.h"

namespace interpd::daemon {
namespace {

// How soon a journal that could not be written is tried again without being asked.
constexpr absl::Duration kJournalRetry = absl::Seconds(1);

// What interpreters that are left may take to end when the engine is stopped.
constexpr absl::Duration kStopTime = absl::Seconds(8);

// However little happens: for clocks that were set.
constexpr absl::Duration kLongestWait = absl::Minutes(1);

int64_t Slots(const JobOptions& options) {
  return options.parallel > 0 ? options.parallel : std::max(1u, std::thread::hardware_concurrency());
}

}  // namespace

absl::StatusOr<std::unique_ptr<JobEngine>> JobEngine::Open(JobOptions options) {
  absl::StatusOr<JournalLock> lock = JournalLock::Acquire(options.directory);
  if (!lock.ok()) return lock.status();
  absl::StatusOr<std::unique_ptr<Database>> database = OpenJournal(options.directory);
  if (!database.ok()) return database.status();
  return std::unique_ptr<JobEngine>(new JobEngine(std::move(options), *std::move(lock), *std::move(database)));
}

JobEngine::JobEngine(JobOptions options, JournalLock lock, std::unique_ptr<Database> database)
    : options_(std::move(options)),
      lock_(std::move(lock)),
      journal_(std::move(database)),
      dispatcher_(Slots(options_)),
      interpreter_defaults_(options_.interpreter_defaults) {
  events_.on_ready = [this](JobWorker& worker, std::optional<LoadFailure> failure) {
    WorkerReady(worker, std::move(failure));
  };
  events_.on_gone = [this](JobWorker& worker) { WorkerGone(worker); };
}

absl::Status JobEngine::Start(interp::InterpreterRegistry& registry,
                              std::function<ChannelNames&(const std::string& space)> names_of,
                              std::function<void()> on_interpreter_closed) {
  registry_ = &registry;
  names_of_ = std::move(names_of);
  on_interpreter_closed_ = std::move(on_interpreter_closed);
  absl::Status recovered = Recover();
  if (!recovered.ok()) return recovered;
  thread_ = std::thread([this] { Run(); });
  return absl::OkStatus();
}

void JobEngine::BeginDrain() {
  draining_.store(true, std::memory_order_relaxed);
  inbox_.Submit([] {});  // wakes it up
}

void JobEngine::Stop() {
  if (!thread_.joinable()) return;
  BeginDrain();
  inbox_.Submit([this] {
    stop_at_ = absl::Now() + kStopTime;
    // Mostly they are closed already, with the grace period that they were given.
    for (auto& [id, job] : jobs_) {
      while (!job->workers.empty()) CloseWorker(*job, *job->workers.back());
    }
  });
  thread_.join();
}

// ---- commands from other threads ------------------------------------------------------------------------------------

void JobEngine::Give(Answer done, absl::AnyInvocable<void(Answer done) &&> command) {
  auto answer = std::make_shared<Answer>(std::move(done));
  inbox_.Submit([answer, command = std::move(command)]() mutable { std::move(command)(std::move(*answer)); },
                [answer] { std::move (*answer)(ServerDraining()); });
}

void JobEngine::Submit(std::string owner, std::string request_id, std::vector<NewJob> jobs, bool complete,
                       Answer done) {
  SubmitCommand submit = {
      .owner = std::move(owner), .request_id = std::move(request_id), .jobs = std::move(jobs), .complete = complete};
  Give(std::move(done), [this, submit = std::move(submit)](Answer done) mutable {
    submit.done = std::move(done);
    submits_.push_back(std::move(submit));
  });
}

void JobEngine::AddInputs(int64_t job, std::vector<InputBatch> inputs, Answer done) {
  Give(std::move(done), [this, job, inputs = std::move(inputs)](Answer done) mutable {
    DoAddInputs(job, std::move(inputs), std::move(done));
  });
}

void JobEngine::FinishUpload(std::vector<int64_t> jobs, Answer done) {
  Give(std::move(done),
       [this, jobs = std::move(jobs)](Answer done) mutable { DoFinishUpload(std::move(jobs), std::move(done)); });
}

void JobEngine::DropUpload(std::vector<int64_t> jobs) {
  inbox_.Submit([this, jobs = std::move(jobs)] { DoDropUpload(jobs); });
}

void JobEngine::Cancel(std::string owner, std::string name, Answer done) {
  Give(std::move(done), [this, owner = std::move(owner), name = std::move(name)](Answer done) {
    DoCancel(owner, name, std::move(done));
  });
}

void JobEngine::Retry(std::string owner, std::string name, Answer done) {
  Give(std::move(done), [this, owner = std::move(owner), name = std::move(name)](Answer done) {
    DoRetry(owner, name, std::move(done));
  });
}

void JobEngine::Delete(std::string owner, std::string name, Answer done) {
  Give(std::move(done), [this, owner = std::move(owner), name = std::move(name)](Answer done) {
    DoDelete(owner, name, std::move(done));
  });
}

int64_t JobEngine::RunningCount(int64_t job) const {
  absl::MutexLock lock(running_mutex_);
  auto found = running_.find(job);
  return found == running_.end() ? 0 : found->second;
}

void JobEngine::Beat(absl::AnyInvocable<void() &&> done) {
  {
    absl::MutexLock lock(beat_mutex_);
    beats_.push_back(std::move(done));
  }
  // Each side says what it does before it looks at what the other does: one of the two sees it.
  beat_waits_ = true;
  if (in_journal_) return AnswerBeats();
  inbox_.Submit([this] { AnswerBeats(); }, [this] { AnswerBeats(); });
}

void JobEngine::SetInterpreterDefaults(interp::InterpreterConfig defaults) {
  inbox_.Submit([this, defaults = std::move(defaults)]() mutable { interpreter_defaults_ = std::move(defaults); });
}

void JobEngine::AnswerBeats() {
  beat_waits_ = false;
  std::vector<absl::AnyInvocable<void() &&>> beats;
  {
    absl::MutexLock lock(beat_mutex_);
    beats.swap(beats_);
  }
  for (absl::AnyInvocable<void() &&>& done : beats) std::move(done)();
}

void JobEngine::EnterJournal() {
  if (journal_depth_++ > 0) return;
  in_journal_ = true;
  if (beat_waits_) AnswerBeats();
}

void JobEngine::LeaveJournal() {
  if (--journal_depth_ == 0) in_journal_.store(false, std::memory_order_release);
}

void JobEngine::Stats(absl::AnyInvocable<void(JobStats) &&> done) {
  auto shared = std::make_shared<absl::AnyInvocable<void(JobStats) &&>>(std::move(done));
  const auto refuse = [shared] { std::move (*shared)({}); };
  inbox_.Submit(
      [this, shared] {
        JobStats stats = stats_;
        InJournal in_journal(*this);
        absl::StatusOr<std::map<int, int64_t>> jobs = journal_.CountJobs();
        if (jobs.ok()) {
          for (const auto& [state, count] : *jobs) stats.jobs[static_cast<v1::Job::State>(state)] = count;
        }
        for (const auto& [id, job] : jobs_) {
          stats.running_tasks += job->running;
          stats.interpreters += static_cast<int64_t>(job->workers.size()) + job->closing_workers;
        }
        stats.journal_bytes = journal_.UsedBytes().value_or(0);
        stats.journal_works = journal_works_;
        std::move (*shared)(std::move(stats));
      },
      refuse);
}

// ---- rounds ---------------------------------------------------------------------------------------------------------

void JobEngine::Run() {
  for (;;) {
    Round();
    const bool stopping = stop_at_ != absl::InfiniteFuture();
    if (stopping && (closing_workers_ == 0 || absl::Now() >= stop_at_)) break;
    inbox_.Wait(std::min(NextTime(), stop_at_));
  }
  inbox_.Close();
  for (auto& [id, job] : jobs_) {
    for (RetryWaiting& retry : job->retries) std::move(retry.done)(ServerDraining());
  }
}

void JobEngine::Round() {
  again_ = false;
  const absl::Time now = absl::Now();
  Inbox::Contents contents = inbox_.Take();
  for (const std::shared_ptr<TaskWork>& work : contents.logs) TakeLogs(*work, false);
  for (const std::shared_ptr<TaskWork>& work : contents.ended) TaskEnded(*work, now);
  for (Inbox::Command& command : contents.commands) std::move(command.run)();

  while (!timers_.empty() && timers_.begin()->first <= now) {
    const int64_t id = timers_.begin()->second;
    timers_.erase(timers_.begin());
    timer_of_.erase(id);
    to_settle_.push_back(id);
  }
  while (!to_settle_.empty()) {
    const int64_t id = to_settle_.back();
    to_settle_.pop_back();
    if (ActiveJob* job = Find(id)) Settle(*job, now);
  }
  EnforceTimeouts(now);
  dispatcher_.Account(now);
  if (journal_works_ && !draining_.load(std::memory_order_relaxed)) {
    StartWorkers(now);
    TakeTasks(now);
  }

  TellRunning();
  std::vector<SubmitCommand> submits = std::exchange(submits_, {});
  UnfinishedJobs accepted;  // in this round
  std::erase_if(submits, [&](SubmitCommand& submit) {
    absl::Status checked = Check(submit, accepted);
    if (!checked.ok()) Submitted(submit, checked);
    return !checked.ok();
  });
  const bool try_now =
      !submits.empty() || !answers_.empty() || now >= retry_journal_at_ || stop_at_ != absl::InfiniteFuture();
  absl::Status written = try_now ? Flush(submits) : absl::UnavailableError("");
  if (!written.ok() && !submits.empty()) {
    // Perhaps it was they who needed the room.
    for (SubmitCommand& submit : submits) Submitted(submit, written);
    submits.clear();
    written = Flush(submits);
  }
  std::vector<std::pair<Answer, JobRecord>> answers;
  if (written.ok()) {
    if (!std::exchange(journal_works_, true)) LOG(INFO) << "the journal of jobs can be written again";
    retry_journal_at_ = absl::InfinitePast();
    for (SubmitCommand& submit : submits) Submitted(submit, submit.status);
    answers.swap(answers_);
    for (auto& [done, record] : answers) std::move(done)(std::vector<JobRecord>{std::move(record)});
    BeginTaken();
    CleanUp(now);
  } else if (try_now) {
    JournalFailed(written);
    answers.swap(answers_);
    for (auto& [done, record] : answers) std::move(done)(written);
  }
}

// Before the journal tells watchers that something has changed.
void JobEngine::TellRunning() {
  absl::MutexLock lock(running_mutex_);
  for (ActiveJob* job : dispatcher_.working()) running_[job->record.id] = job->running;
  for (int64_t id : dirty_) {
    ActiveJob* job = Find(id);
    if (job == nullptr || job->running == 0) {
      running_.erase(id);
    } else {
      running_[id] = job->running;
    }
  }
}

void JobEngine::JournalFailed(const absl::Status& status) {
  if (std::exchange(journal_works_, false)) LOG(ERROR) << "no task is begun for now: " << status.message();
  retry_journal_at_ = absl::Now() + kJournalRetry;
}

absl::Time JobEngine::NextTime() const {
  if (again_ || !to_settle_.empty()) return absl::InfinitePast();
  absl::Time next = std::min(absl::Now() + kLongestWait, next_clean_up_);
  if (!timers_.empty()) next = std::min(next, timers_.begin()->first);
  next = std::min({next, next_timeout_, dispatcher_.NextTime()});
  if (!journal_works_) next = std::max(retry_journal_at_, std::min(next, retry_journal_at_));
  return next;
}

absl::Status JobEngine::Flush(std::vector<SubmitCommand>& submits) {
  if (submits.empty() && dirty_.empty() && unsaved_tasks_.empty() && unsaved_logs_.empty()) return absl::OkStatus();
  const Journal::Sync sync = sync_next_ || !submits.empty() ? Journal::Sync::kYes : Journal::Sync::kNo;
  absl::Status written = InTransaction(sync, [&] { return Write(submits); });
  if (!written.ok()) return written;
  absl::flat_hash_set<int64_t> changed = std::move(dirty_);
  for (const TaskRecord& task : unsaved_tasks_) changed.insert(task.job);
  for (const LogRecord& log : unsaved_logs_) changed.insert(log.job);
  dirty_.clear();
  unsaved_tasks_.clear();
  unsaved_logs_.clear();
  sync_next_ = false;
  watches_.Tell(changed);
  for (int64_t id : changed) {
    if (ActiveJob* job = Find(id)) ForgetIfOver(*job);
  }
  return absl::OkStatus();
}

absl::Status JobEngine::Write(std::vector<SubmitCommand>& submits) {
  for (const LogRecord& log : unsaved_logs_) {
    absl::Status written = journal_.InsertLog(log);
    if (!written.ok()) return written;
  }
  for (const TaskRecord& task : unsaved_tasks_) {
    absl::Status written = journal_.SaveTask(task);
    if (!written.ok()) return written;
  }
  for (int64_t id : dirty_) {
    ActiveJob* job = Find(id);
    if (job == nullptr) continue;
    absl::Status written = journal_.UpdateJob(job->record);
    if (!written.ok()) return written;
  }
  for (SubmitCommand& submit : submits) {
    // One that is refused leaves the others alone.
    absl::Status saved = journal_.Savepoint();
    if (!saved.ok()) return saved;
    submit.status = Insert(submit);
    if (absl::IsResourceExhausted(submit.status)) return submit.status;
    saved = submit.status.ok() ? journal_.ReleaseSavepoint() : journal_.RollbackToSavepoint();
    if (!saved.ok()) return saved;
  }
  return absl::OkStatus();
}

absl::Status JobEngine::InTransaction(Journal::Sync sync, absl::FunctionRef<absl::Status()> write) {
  InJournal in_journal(*this);
  absl::Status status = journal_.Begin(sync);
  if (status.ok()) status = write();
  if (status.ok()) status = journal_.Commit();
  if (!status.ok()) journal_.Rollback();
  return status;
}

void JobEngine::TakeLogs(TaskWork& work, bool has_ended) {
  for (LogRecord& log : work.TakeLogs(has_ended)) {
    ActiveJob* job = Find(log.job);
    const bool goes_on = job != nullptr && !job->record.has_ended() && job->record.state != kDeleting;
    if (!goes_on) continue;
    unfinished_.Grow(job->record, kRowBytes + static_cast<int64_t>(log.data.size()));
    MarkDirty(*job);
    unsaved_logs_.push_back(std::move(log));
  }
}

// ---- jobs in memory -------------------------------------------------------------------------------------------------

ActiveJob* JobEngine::Find(int64_t id) {
  auto found = jobs_.find(id);
  return found == jobs_.end() ? nullptr : found->second.get();
}

ActiveJob& JobEngine::Adopt(JobRecord record) {
  const int64_t id = record.id;
  by_name_[record.name] = id;
  unfinished_.Add(record);
  std::unique_ptr<ActiveJob>& job = jobs_[id];
  job = std::make_unique<ActiveJob>(std::move(record));
  return *job;
}

absl::StatusOr<ActiveJob*> JobEngine::FindOrLoad(const std::string& owner, const std::string& name) {
  auto known = by_name_.find(name);
  ActiveJob* job = known == by_name_.end() ? nullptr : Find(known->second);
  if (job == nullptr) {
    InJournal in_journal(*this);
    absl::StatusOr<std::optional<JobRecord>> found = journal_.FindJob(name);
    if (!found.ok()) return found.status();
    if (found->has_value() && MayUse(owner, (*found)->owner)) job = &Adopt(**std::move(found));
  }
  if (job == nullptr || !MayUse(owner, job->record.owner) || job->record.state == kDeleting) return JobNotFound(name);
  return job;
}

void JobEngine::ForgetIfOver(ActiveJob& job) {
  const bool over = (job.record.has_ended() || job.record.state == kDeleting) && job.workers.empty() &&
                    job.closing_workers == 0 && job.retries.empty() && !dirty_.contains(job.record.id);
  if (!over) return;
  const int64_t id = job.record.id;
  {
    absl::MutexLock lock(running_mutex_);
    running_.erase(id);
  }
  by_name_.erase(job.record.name);
  unfinished_.Remove(job.record);
  jobs_.erase(id);
}

}  // namespace interpd::daemon
