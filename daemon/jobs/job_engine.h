// JobEngine: what makes jobs go on: takes them in, gives their tasks to interpreters, and writes down how they end.
//
// Who includes this: main.cc, which makes it; the server, which starts and stops it; the RPCs of jobs.
//
// One thread does it all, in rounds: it takes what has come in (inbox.h), changes jobs in memory, writes all changes in
// one transaction, and only then lets effects out: answers, and tasks that begin. So what has begun or was answered is
// in the journal, and whatever happens in one round costs one transaction. On disk at once, power cuts included, is
// what clients are told of: submits, cancels, ends of jobs. Ends of tasks survive the process at once, and the power
// with the next of those.
//
// When the journal cannot be written (a full disk), submits are refused, no task is begun, and what has ended waits in
// memory until a write works again: each command tries, and so does the engine every second.
//
// Thread safety: all public methods, any thread but interpreters', unless said otherwise. Callbacks come on the
// engine's thread and must not block.
#ifndef INTERPD_DAEMON_JOBS_JOB_ENGINE_H_
#define INTERPD_DAEMON_JOBS_JOB_ENGINE_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "daemon/channel_names.h"
#include "daemon/jobs/active_job.h"
#include "daemon/jobs/inbox.h"
#include "daemon/jobs/job_dispatcher.h"
#include "daemon/jobs/job_record.h"
#include "daemon/jobs/job_watches.h"
#include "daemon/jobs/journal.h"
#include "daemon/jobs/journal_file.h"
#include "daemon/jobs/unfinished_jobs.h"
#include "interp/interpreter_registry.h"

namespace interpd::daemon {

struct JobOptions {
  std::string directory;                       // of the journal
  int64_t parallel = 0;                        // slots for tasks of all jobs; 0: the number of CPUs
  int64_t max_unfinished = 10'000;             // jobs; a user may have half of them
  absl::Duration keep = absl::Hours(24 * 30);  // ended jobs
  int64_t keep_bytes = int64_t{1} << 30;       // of the journal; beyond, jobs go that have ended
  int64_t max_result_bytes = int64_t{64} << 20;
  interp::InterpreterConfig interpreter_defaults;
};

// Some inputs of a job: a serialized ValueBatch, and how many values that is.
struct InputBatch {
  std::string bytes;
  int64_t count = 0;
};

// A job to submit, valid as job_spec.h makes it.
struct NewJob {
  v1::JobSpec spec;  // without script and values
  std::string script;
  std::vector<InputBatch> inputs;
};

// For metrics.
struct JobStats {
  std::map<v1::Job::State, int64_t> jobs;  // in the journal
  int64_t running_tasks = 0;
  int64_t interpreters = 0;  // of jobs, those that are ending included
  // Since the engine was started.
  int64_t succeeded_tasks = 0;
  int64_t failed_tasks = 0;
  int64_t retried_tasks = 0;      // attempts that have failed and are followed by another
  int64_t interrupted_tasks = 0;  // attempts that were cut off from outside
  int64_t journal_bytes = 0;
  bool journal_works = true;
};

class JobEngine {
 public:
  // Takes the directory and opens the journal. Errors are for the operator and name the file.
  static absl::StatusOr<std::unique_ptr<JobEngine>> Open(JobOptions options);

  JobEngine(const JobEngine&) = delete;
  JobEngine& operator=(const JobEngine&) = delete;
  ~JobEngine() { Stop(); }

  // Goes on with what the journal holds. What is given must live until Stop. Once.
  // `names_of` tells the names of channels in an owner's space.
  absl::Status Start(interp::InterpreterRegistry& registry,
                     std::function<ChannelNames&(const std::string& space)> names_of,
                     std::function<void()> on_interpreter_closed);

  // No task is begun from now on; what is interrupted when interpreters are closed will run again.
  void BeginDrain();

  // Interrupts what runs still, which will run again, writes what is left, and ends the thread. Afterwards no
  // interpreter knows the engine any more, unless one does not end.
  void Stop();

  // ---- commands; `done` is called once, with the jobs as they are then ----
  using Answer = absl::AnyInvocable<void(absl::StatusOr<std::vector<JobRecord>>) &&>;

  // `request_id` may be empty. `complete`: no more inputs follow; otherwise an upload is open, known by the jobs' ids.
  // Errors: JOB_NOT_FOUND, JOURNAL_FULL, TOO_MANY_JOBS, SERVER_DRAINING.
  void Submit(std::string owner, std::string request_id, std::vector<NewJob> jobs, bool complete, Answer done);
  // More inputs of a job of an open upload.
  void AddInputs(int64_t job, std::vector<InputBatch> inputs, Answer done);
  // Ends an upload: its jobs are submitted, or dropped as if they had never been.
  void FinishUpload(std::vector<int64_t> jobs, Answer done);
  void DropUpload(std::vector<int64_t> jobs);

  // Of an owner's namespace. Errors: as jobs.proto has them.
  void Cancel(std::string owner, std::string name, Answer done);
  void Retry(std::string owner, std::string name, Answer done);
  void Delete(std::string owner, std::string name, Answer done);

  // ---- what others may look at ----
  JobWatches& watches() { return watches_; }
  // Tasks of a job that run just now.
  int64_t RunningCount(int64_t job) const;
  void Stats(absl::AnyInvocable<void(JobStats) &&> done);
  // Calls back from the engine's thread, or at once if that waits for the disk, or as soon as it does: so who is not
  // called back knows that it is wedged.
  void Beat(absl::AnyInvocable<void() &&> done);
  // For jobs that have not begun.
  void SetInterpreterDefaults(interp::InterpreterConfig defaults);
  const JobOptions& options() const { return options_; }

 private:
  struct SubmitCommand {
    std::string owner;
    std::string request_id;
    std::vector<NewJob> jobs;
    bool complete = false;
    Answer done;
    const JobRecord* parent = nullptr;  // the job with the cron expression, whose inputs are taken
    // Filled when it is written.
    absl::Status status;
    std::vector<JobRecord> records;
    bool repeated = false;  // they were there already
  };

  // While one lives the engine's thread is in the journal, where it may wait for the disk.
  class InJournal {
   public:
    explicit InJournal(JobEngine& engine) : engine_(engine) { engine_.EnterJournal(); }
    InJournal(const InJournal&) = delete;
    InJournal& operator=(const InJournal&) = delete;
    ~InJournal() { engine_.LeaveJournal(); }

   private:
    JobEngine& engine_;
  };

  JobEngine(JobOptions options, JournalLock lock, std::unique_ptr<Database> database);

  // ---- job_engine.cc: rounds ----
  void Run();
  void Round();
  // Has the engine's thread do something that is answered; refused when that has ended.
  void Give(Answer done, absl::AnyInvocable<void(Answer done) &&> command);
  absl::Time NextTime() const;
  // Writes what has changed, and `submits`. On an error nothing was written, and what has changed stays to be written.
  absl::Status Flush(std::vector<SubmitCommand>& submits);
  absl::Status Write(std::vector<SubmitCommand>& submits);
  // A transaction of its own, of what `write` does.
  absl::Status InTransaction(Journal::Sync sync, absl::FunctionRef<absl::Status()> write);
  void EnterJournal();
  void LeaveJournal();
  void AnswerBeats();
  void TellRunning();
  void JournalFailed(const absl::Status& status);
  void MarkDirty(const ActiveJob& job) { dirty_.insert(job.record.id); }
  void TakeLogs(TaskWork& work, bool has_ended);
  ActiveJob* Find(int64_t id);
  // One that has ended is read from the journal. Errors: JOB_NOT_FOUND, and the journal's.
  absl::StatusOr<ActiveJob*> FindOrLoad(const std::string& owner, const std::string& name);
  ActiveJob& Adopt(JobRecord record);
  void ForgetIfOver(ActiveJob& job);
  // The operators' namespace, which is empty, holds everybody's.
  static bool MayUse(const std::string& owner, const std::string& whose) { return owner.empty() || whose == owner; }

  // ---- job_engine_submit.cc: how jobs come in ----
  // What refuses one submit, and not the others of its round.
  absl::Status Check(const SubmitCommand& submit, UnfinishedJobs& accepted);
  absl::Status CheckNew(const SubmitCommand& submit, UnfinishedJobs& accepted);
  // Whether an owner's unfinished jobs may be so many more.
  absl::Status CheckRoom(const std::string& owner, UnfinishedJobs::Use more, int64_t more_of_all) const;
  absl::Status Insert(SubmitCommand& submit);
  void Submitted(SubmitCommand& submit, const absl::Status& status);
  void Admit(JobRecord record);
  void DoAddInputs(int64_t job, std::vector<InputBatch> inputs, Answer done);
  void DoFinishUpload(std::vector<int64_t> jobs, Answer done);
  void DoDropUpload(const std::vector<int64_t>& jobs);

  // ---- job_engine_recovery.cc: what a start finds ----
  absl::Status Recover();
  // Finds what was running when the daemon ended.
  absl::Status RecoverTasks(ActiveJob& job);
  // Finds the jobs that it waits for. Errors: the journal's.
  absl::Status Await(ActiveJob& job);

  // ---- job_engine_life.cc: from admission to the end of a job ----
  // Moves a job that has not begun to the state in which it is by now.
  void Settle(ActiveJob& job, absl::Time now);
  absl::Status CopyResultsAsInputs(ActiveJob& job);
  // What it copies. Errors: INVALID_FIELD for too many results, and the journal's.
  absl::StatusOr<std::vector<JobRecord>> SourcesOf(const JobRecord& record);
  void End(ActiveJob& job, v1::Job::State state, absl::Time now);
  void Fail(ActiveJob& job, const v1::JobError& error, absl::Time now);
  void EndIfComplete(ActiveJob& job, absl::Time now);
  void RunCron(ActiveJob& job, absl::Time now);
  void DoCancel(const std::string& owner, const std::string& name, Answer done);
  void DoRetry(const std::string& owner, const std::string& name, Answer done);
  void DoDelete(const std::string& owner, const std::string& name, Answer done);
  // What a job that has ended would need to go on, and was deleted; empty: nothing.
  absl::StatusOr<std::string> LostOf(const JobRecord& record);

  // ---- job_engine_room.cc: room in the journal ----
  // Deletes what is too old, and rows of what is being deleted, some each time.
  void CleanUp(absl::Time now);
  absl::Status CleanUpSome(absl::Time now);
  // The job that is to go because the journal is too big; none: nothing has ended of those who use much.
  absl::StatusOr<std::optional<int64_t>> OldestOfGreatestOwner();

  // ---- job_engine_workers.cc: interpreters ----
  void WorkerReady(JobWorker& worker, std::optional<LoadFailure> failure);
  void WorkerGone(JobWorker& worker);
  void CloseWorker(ActiveJob& job, JobWorker& worker);
  void StartWorkers(absl::Time now);
  absl::Status MakeContext(ActiveJob& job);
  absl::StatusOr<channels::Value> ResultsOfAfter(const ActiveJob& job);

  // ---- job_engine_tasks.cc: tasks ----
  void TaskEnded(TaskWork& work, absl::Time now);
  void TaskFailed(ActiveJob& job, TaskRecord task, absl::Time now);
  // Has its row written, and returns what that takes. One that is PENDING waits in memory again.
  int64_t SaveTask(ActiveJob& job, TaskRecord task);
  // Takes tasks for interpreters that have room; they begin after the next Flush.
  void TakeTasks(absl::Time now);
  void TakeTasksFor(ActiveJob& job, const std::shared_ptr<JobWorker>& worker, absl::Time now);
  void BeginTaken();
  void EnforceTimeouts(absl::Time now);
  // Takes back what waits behind a task that runs for long.
  void RecallWaiting(JobWorker& worker);
  // Looks at the job again then, or earlier.
  void SetTimer(ActiveJob& job, absl::Time time);

  const JobOptions options_;
  const JournalLock lock_;
  Journal journal_;
  JobDispatcher dispatcher_;
  Inbox inbox_;
  JobWatches watches_;
  JobWorker::Events events_;

  interp::InterpreterRegistry* registry_ = nullptr;
  std::function<ChannelNames&(const std::string& space)> names_of_;
  std::function<void()> on_interpreter_closed_;

  // ---- the engine's thread alone ----
  interp::InterpreterConfig interpreter_defaults_;
  absl::flat_hash_map<int64_t, std::unique_ptr<ActiveJob>> jobs_;  // not ended, or with interpreters that end
  absl::flat_hash_map<std::string, int64_t> by_name_;              // of those
  absl::flat_hash_map<int64_t, JobRecord> uploads_;
  UnfinishedJobs unfinished_;                                      // both of them
  absl::flat_hash_map<int64_t, std::vector<int64_t>> dependents_;  // by the job that they wait for
  absl::btree_set<std::pair<absl::Time, int64_t>> timers_;         // jobs to look at then
  absl::flat_hash_map<int64_t, absl::Time> timer_of_;
  std::vector<int64_t> deleting_;
  absl::Time next_clean_up_ = absl::InfinitePast();
  std::optional<std::map<std::string, int64_t>> bytes_of_owners_;  // while the journal is too big

  struct Taken {
    std::shared_ptr<JobWorker> worker;
    TaskRecord task;
    channels::Value item;
  };
  std::vector<Taken> taken_;            // to begin when the journal has them
  std::shared_ptr<JobWorker> suspect_;  // runs a task that was interrupted twice and more
  // To be written.
  absl::flat_hash_set<int64_t> dirty_;
  std::vector<TaskRecord> unsaved_tasks_;  // in order: of the same task, the last counts
  std::vector<LogRecord> unsaved_logs_;
  bool sync_next_ = false;                             // what is to be written must be on disk before anything is told
  std::vector<SubmitCommand> submits_;                 // to be written with it
  std::vector<std::pair<Answer, JobRecord>> answers_;  // to be told then
  std::vector<int64_t> to_settle_;                     // jobs whose state may change by what has happened
  absl::Time next_timeout_ = absl::InfiniteFuture();
  bool again_ = false;  // there is more to do at once
  bool journal_works_ = true;
  absl::Time retry_journal_at_ = absl::InfinitePast();

  std::atomic<bool> draining_{false};
  int journal_depth_ = 0;
  std::atomic<bool> in_journal_{false};
  std::atomic<bool> beat_waits_{false};  // it may be that there are some
  absl::Mutex beat_mutex_;
  std::vector<absl::AnyInvocable<void() &&>> beats_ ABSL_GUARDED_BY(beat_mutex_);  // to be called back
  JobStats stats_;                                                                 // what is counted
  absl::Time stop_at_ = absl::InfiniteFuture();                                    // at the latest
  int64_t closing_workers_ = 0;                                                    // of all jobs
  mutable absl::Mutex running_mutex_;
  absl::flat_hash_map<int64_t, int64_t> running_ ABSL_GUARDED_BY(running_mutex_);
  std::thread thread_;
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_JOBS_JOB_ENGINE_H_
