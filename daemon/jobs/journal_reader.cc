#include "daemon/jobs/journal_reader.h"

#include <utility>

#include "daemon/jobs/job_errors.h"
#include "daemon/jobs/journal.h"
#include "daemon/jobs/journal_file.h"

namespace interpd::daemon {
namespace {

// What one answer of a stream holds, about.
constexpr size_t kPageTasks = 1000;
constexpr int64_t kPageRows = 1000;
constexpr size_t kPageBytes = 512 << 10;

// Tasks that are looked at for one answer, whether they fit the filter or not.
constexpr int64_t kLookedAt = 50'000;

}  // namespace

absl::StatusOr<std::unique_ptr<JournalReader>> JournalReader::Open(const std::string& directory) {
  absl::StatusOr<std::unique_ptr<Database>> database = OpenJournalToRead(directory);
  if (!database.ok()) return database.status();
  return std::unique_ptr<JournalReader>(new JournalReader(*std::move(database)));
}

absl::StatusOr<JobRecord> JournalReader::FindJob(std::string_view owner, std::string_view name) {
  Rows rows = database_->Query("SELECT " INTERPD_JOB_COLUMNS
                               " FROM job WHERE name = ?1 AND state < 100 AND (?2 = '' OR owner = ?2)",
                               name, owner);
  if (rows.Next()) return ReadJob(rows);
  if (!rows.status().ok()) return rows.status();
  return JobNotFound(name);
}

absl::StatusOr<std::string> JournalReader::Script(int64_t job) {
  Rows rows = database_->Query("SELECT source FROM script WHERE job = ?", job);
  std::string script;
  if (rows.Next()) script = rows.Bytes(0);
  if (!rows.status().ok()) return rows.status();
  return script;
}

absl::StatusOr<std::vector<JobRecord>> JournalReader::List(const Filter& filter, int64_t limit) {
  Rows rows = database_->Query(
      "SELECT " INTERPD_JOB_COLUMNS
      " FROM job WHERE state < 100 AND (?1 = '' OR owner = ?1) AND (?2 = 0 OR (1 << state) & ?2) AND "
      "(?3 = '' OR parent = (SELECT id FROM job WHERE name = ?3)) AND (?4 = 0 OR id < ?4) ORDER BY id DESC LIMIT ?5",
      std::string_view(filter.owner), filter.states, std::string_view(filter.parent), filter.before, limit);
  std::vector<JobRecord> jobs;
  while (rows.Next()) jobs.push_back(ReadJob(rows));
  if (!rows.status().ok()) return rows.status();
  return jobs;
}

absl::StatusOr<std::vector<TaskRecord>> JournalReader::Tasks(const JobRecord& job, const TaskFilter& filter,
                                                             int64_t* next) {
  std::vector<TaskRecord> tasks;
  size_t bytes = 0;
  int64_t looked_at = 0;
  // Whether there is room for more.
  const auto take = [&](TaskRecord task) {
    const bool has_ended = task.state == v1::Task::SUCCEEDED || task.state == v1::Task::FAILED;
    if (!has_ended && job.has_ended()) task.state = v1::Task::CANCELLED;
    if (!has_ended && filter.wait && !job.has_ended()) return false;
    *next = task.index + 1;
    if (filter.states >> task.state & 1) {
      bytes += task.outcome.size() + 64;
      tasks.push_back(std::move(task));
    }
    return tasks.size() < kPageTasks && bytes < kPageBytes && ++looked_at < kLookedAt;
  };
  const auto without_rows = [&](int64_t end) {
    while (*next < end) {
      const bool begun = *next < job.next_index;
      TaskRecord task = {.job = job.id, .index = *next, .state = begun ? v1::Task::RUNNING : v1::Task::PENDING};
      if (begun) task.attempt = 1;
      if (!take(std::move(task))) return false;
    }
    return true;
  };
  Rows rows = database_->Query("SELECT " INTERPD_TASK_COLUMNS " FROM task WHERE key BETWEEN ? AND ? ORDER BY key",
                               TaskKey(job.id, *next), TaskKey(job.id + 1, 0) - 1);
  while (rows.Next()) {
    TaskRecord task = ReadTask(rows);
    if (!without_rows(task.index) || !take(std::move(task))) return tasks;
  }
  if (!rows.status().ok()) return rows.status();
  without_rows(job.task_count);
  return tasks;
}

absl::StatusOr<std::vector<LogRecord>> JournalReader::Logs(int64_t job, std::optional<int64_t> index, int64_t* after) {
  Rows rows =
      index
          ? database_->Query(
                "SELECT id, key, attempt, stream, dropped, data FROM log WHERE key = ? AND id > ? ORDER BY id LIMIT ?",
                TaskKey(job, *index), *after, kPageRows)
          : database_->Query(
                "SELECT id, key, attempt, stream, dropped, data FROM log WHERE key >> 32 = ? AND id > ? ORDER BY id "
                "LIMIT ?",
                job, *after, kPageRows);
  std::vector<LogRecord> logs;
  size_t bytes = 0;
  while (bytes < kPageBytes && rows.Next()) {
    *after = rows.Int(0);
    LogRecord& log = logs.emplace_back();
    log.job = job;
    log.index = IndexOfKey(rows.Int(1));
    log.attempt = static_cast<int>(rows.Int(2));
    log.stream = static_cast<v1::Output::Stream>(rows.Int(3));
    log.dropped_bytes = rows.Int(4);
    log.data = rows.Bytes(5);
    bytes += log.data.size();
  }
  if (!rows.status().ok()) return rows.status();
  return logs;
}

}  // namespace interpd::daemon
