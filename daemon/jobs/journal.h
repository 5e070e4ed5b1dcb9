// Journal: what the engine writes of jobs, and what it reads to go on with them.
//
// Who includes this: the engine, alone. Readers for clients have connections of their own (journal_reader.h).
//
// All writes happen between Begin and Commit. When one of them fails, with JOURNAL_FULL or INTERNAL_ERROR, Rollback:
// the file is then as it was. Thread safety: none.
#ifndef INTERPD_DAEMON_JOBS_JOURNAL_H_
#define INTERPD_DAEMON_JOBS_JOURNAL_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "daemon/jobs/database.h"
#include "daemon/jobs/job_record.h"

namespace interpd::daemon {

// What ReadJob and ReadTask take, in their order; macros, since statements are literals.
#define INTERPD_JOB_COLUMNS                                                                           \
  "id, name, uid, owner, spec, input_of, state, task_count, next_index, succeeded, failed, retried, " \
  "create_time, start_time, end_time, due_time, error, parent, run_count, last_run, "                 \
  "(SELECT name FROM job AS other WHERE other.id = job.parent), "                                     \
  "(SELECT name FROM job AS other WHERE other.id = job.last_run), bytes"
#define INTERPD_TASK_COLUMNS "key, state, attempt, failures, interruptions, due_time, start_time, end_time, outcome"

JobRecord ReadJob(const Rows& rows);
TaskRecord ReadTask(const Rows& rows);

class Journal {
 public:
  // kYes: Commit returns when it is on disk, with all that was committed before. kNo: when the system has it, so that
  // it survives the process, but not the power.
  enum class Sync { kNo, kYes };

  explicit Journal(std::unique_ptr<Database> database) : database_(std::move(database)) {}

  absl::Status Begin(Sync sync);
  absl::Status Commit();
  void Rollback();
  // A part of a transaction that may be undone by itself; one at a time.
  absl::Status Savepoint() { return database_->Run("SAVEPOINT part"); }
  absl::Status ReleaseSavepoint() { return database_->Run("RELEASE part"); }
  absl::Status RollbackToSavepoint();

  // ---- writing ----

  // Sets record->id, and input_of if it is 0. ALREADY_EXISTS if the name is taken.
  absl::Status InsertJob(JobRecord* record, std::string_view script);
  // What changes of a job.
  absl::Status UpdateJob(const JobRecord& record);
  absl::Status InsertDependency(int64_t job, int64_t after);
  absl::Status InsertInput(int64_t job, int64_t first_index, std::string_view batch);
  absl::Status SaveTask(const TaskRecord& task);
  absl::Status InsertLog(const LogRecord& log);

  // The tasks of a job that have failed, or had no end, are PENDING again, with fresh counts.
  absl::Status ResetTasks(int64_t job);
  // Removes up to `limit` rows of a job that is being deleted; whether none are left, the job's own included.
  absl::StatusOr<bool> DeleteSome(int64_t job, int64_t limit);
  // Gives up to `pages` free pages back to the disk.
  absl::Status Shrink(int64_t pages);

  // ---- reading ----

  // Every job of these states, oldest first.
  absl::StatusOr<std::vector<JobRecord>> JobsInStates(int first, int last);
  absl::StatusOr<std::optional<JobRecord>> FindJob(std::string_view name);
  absl::StatusOr<std::optional<JobRecord>> FindJob(int64_t id);
  // No more than that of a job, which costs little.
  struct Key {
    int64_t id = 0;
    std::string owner;
  };
  absl::StatusOr<std::optional<Key>> FindKey(std::string_view name);
  // The jobs whose request ids begin so, in the order in which they were submitted.
  absl::StatusOr<std::vector<JobRecord>> FindRequest(std::string_view prefix);
  absl::StatusOr<std::string> Script(int64_t job);
  absl::StatusOr<std::vector<int64_t>> DependenciesOf(int64_t job);
  // Jobs that are not being deleted and that wait for it, or take its results.
  absl::StatusOr<std::vector<int64_t>> DependentsOf(int64_t job);

  // The batch that holds the input `index`, and the index of its first.
  struct Input {
    int64_t first_index = 0;
    std::string batch;
  };
  absl::StatusOr<Input> FindInput(int64_t job, int64_t index);
  // Tasks that have rows and are PENDING or RUNNING, with indexes behind `after` and before `end`, in their order.
  absl::StatusOr<std::vector<TaskRecord>> UnfinishedTasks(int64_t job, int64_t after, int64_t end, int64_t limit);
  // Of those below `end`, the indexes that have no row.
  absl::StatusOr<std::vector<int64_t>> TasksWithoutRow(int64_t job, int64_t end);
  absl::StatusOr<std::optional<TaskRecord>> FindTask(int64_t job, int64_t index);
  // Each succeeded task of a job, in order, until `visit` returns an error.
  absl::Status ForEachResult(int64_t job, absl::FunctionRef<absl::Status(std::string_view outcome)> visit);

  // Jobs that may go: the one that ended first, if it ended before `before`, or in any case; none: nothing has ended.
  // `owner`: only of his.
  absl::StatusOr<std::optional<int64_t>> OldestEnded(absl::Time before,
                                                     std::optional<std::string_view> owner = std::nullopt);
  // What the jobs of each owner take, about. Looks at every job.
  absl::StatusOr<std::map<std::string, int64_t>> BytesOfOwners();
  // How many jobs there are in each state.
  absl::StatusOr<std::map<int, int64_t>> CountJobs();
  // What the file takes on disk, free pages not counted.
  absl::StatusOr<int64_t> UsedBytes();

  const std::string& path() const { return database_->path(); }

 private:
  absl::StatusOr<std::optional<JobRecord>> One(Rows rows);
  absl::StatusOr<std::vector<JobRecord>> Many(Rows rows);

  const std::unique_ptr<Database> database_;
  std::optional<Sync> sync_;  // as the database was told last
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_JOBS_JOURNAL_H_
