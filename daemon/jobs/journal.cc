#include "daemon/jobs/journal.h"

#include <algorithm>
#include <limits>

#include "absl/log/check.h"
#include "absl/log/log.h"

namespace interpd::daemon {
namespace {

#define JOB_COLUMNS INTERPD_JOB_COLUMNS
#define TASK_COLUMNS INTERPD_TASK_COLUMNS

absl::Time ReadTime(const Rows& rows, int column) { return absl::FromUnixMicros(rows.Int(column)); }

}  // namespace

JobRecord ReadJob(const Rows& rows) {
  JobRecord record;
  record.id = rows.Int(0);
  record.name = rows.Bytes(1);
  record.uid = rows.Bytes(2);
  record.owner = rows.Bytes(3);
  const std::string_view spec = rows.Bytes(4);
  if (!record.spec.ParseFromArray(spec.data(), static_cast<int>(spec.size()))) {
    LOG(ERROR) << "the journal's row of jobs/" << record.name << " holds no valid JobSpec";
  }
  record.input_of = rows.Int(5) != 0 ? rows.Int(5) : record.id;
  record.state = static_cast<int>(rows.Int(6));
  record.task_count = rows.Int(7);
  record.next_index = rows.Int(8);
  record.succeeded = rows.Int(9);
  record.failed = rows.Int(10);
  record.retried = rows.Int(11);
  record.create_time = ReadTime(rows, 12);
  record.start_time = ReadTime(rows, 13);
  record.end_time = ReadTime(rows, 14);
  record.due_time = ReadTime(rows, 15);
  record.error = rows.Bytes(16);
  record.parent = rows.Int(17);
  record.run_count = rows.Int(18);
  record.last_run = rows.Int(19);
  record.parent_name = rows.Bytes(20);
  record.last_run_name = rows.Bytes(21);
  record.bytes = rows.Int(22);
  return record;
}

TaskRecord ReadTask(const Rows& rows) {
  TaskRecord task;
  task.job = JobOfKey(rows.Int(0));
  task.index = IndexOfKey(rows.Int(0));
  task.state = static_cast<int>(rows.Int(1));
  task.attempt = static_cast<int>(rows.Int(2));
  task.failures = static_cast<int>(rows.Int(3));
  task.interruptions = static_cast<int>(rows.Int(4));
  task.due_time = ReadTime(rows, 5);
  task.start_time = ReadTime(rows, 6);
  task.end_time = ReadTime(rows, 7);
  task.outcome = rows.Bytes(8);
  task.saved_bytes = kRowBytes + static_cast<int64_t>(task.outcome.size());
  return task;
}

// ---- transactions ---------------------------------------------------------------------------------------------------

absl::Status Journal::Begin(Sync sync) {
  if (sync_ != sync) {
    absl::Status set =
        database_->Script(sync == Sync::kYes ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL");
    if (!set.ok()) return set;
    sync_ = sync;
  }
  return database_->Run("BEGIN IMMEDIATE");
}

absl::Status Journal::Commit() { return database_->Run("COMMIT"); }

void Journal::Rollback() {
  // An error may have ended the transaction already.
  if (!database_->in_transaction()) return;
  absl::Status status = database_->Run("ROLLBACK");
  if (!status.ok()) LOG(ERROR) << status.message();
}

// ---- writing --------------------------------------------------------------------------------------------------------

absl::Status Journal::InsertJob(JobRecord* record, std::string_view script) {
  const std::string spec = record->spec.SerializeAsString();
  // 0 in the table: its own, whose id is not known yet.
  absl::Status inserted = database_->Run(
      "INSERT INTO job(name, uid, owner, request_id, spec, input_of, state, task_count, next_index, succeeded, failed, "
      "retried, create_time, start_time, end_time, due_time, error, parent, bytes) "
      "VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, nullif(?, 0), ?)",
      std::string_view(record->name), std::string_view(record->uid), std::string_view(record->owner),
      OptionalText{record->request_id}, Blob{spec}, record->input_of, record->state, record->task_count,
      record->next_index, record->succeeded, record->failed, record->retried, absl::ToUnixMicros(record->create_time),
      absl::ToUnixMicros(record->start_time), absl::ToUnixMicros(record->end_time),
      absl::ToUnixMicros(record->due_time), Blob{record->error}, record->parent, record->bytes);
  if (!inserted.ok()) return inserted;
  record->id = database_->last_insert_id();
  if (record->input_of == 0) record->input_of = record->id;
  return database_->Run("INSERT INTO script(job, source) VALUES(?, ?)", record->id, Blob{script});
}

absl::Status Journal::UpdateJob(const JobRecord& record) {
  return database_->Run(
      "UPDATE job SET state = ?, task_count = ?, next_index = ?, succeeded = ?, failed = ?, retried = ?, "
      "start_time = ?, end_time = ?, due_time = ?, error = ?, run_count = ?, last_run = ?, bytes = ?, "
      // Whoever repeats the request of a job that goes means a new one.
      "request_id = CASE WHEN ?1 = 101 THEN NULL ELSE request_id END WHERE id = ?",
      record.state, record.task_count, record.next_index, record.succeeded, record.failed, record.retried,
      absl::ToUnixMicros(record.start_time), absl::ToUnixMicros(record.end_time), absl::ToUnixMicros(record.due_time),
      Blob{record.error}, record.run_count, record.last_run, record.bytes, record.id);
}

absl::Status Journal::InsertDependency(int64_t job, int64_t after) {
  return database_->Run("INSERT OR IGNORE INTO dependency(job, after) VALUES(?, ?)", job, after);
}

absl::Status Journal::InsertInput(int64_t job, int64_t first_index, std::string_view batch) {
  return database_->Run("INSERT INTO input(key, batch) VALUES(?, ?)", TaskKey(job, first_index), Blob{batch});
}

absl::Status Journal::SaveTask(const TaskRecord& task) {
  return database_->Run("INSERT OR REPLACE INTO task(" TASK_COLUMNS ") VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)",
                        TaskKey(task.job, task.index), task.state, task.attempt, task.failures, task.interruptions,
                        absl::ToUnixMicros(task.due_time), absl::ToUnixMicros(task.start_time),
                        absl::ToUnixMicros(task.end_time), Blob{task.outcome});
}

absl::Status Journal::InsertLog(const LogRecord& log) {
  return database_->Run("INSERT INTO log(key, attempt, stream, dropped, data) VALUES(?, ?, ?, ?, ?)",
                        TaskKey(log.job, log.index), log.attempt, static_cast<int64_t>(log.stream), log.dropped_bytes,
                        Blob{log.data});
}

absl::Status Journal::ResetTasks(int64_t job) {
  return database_->Run(
      "UPDATE task SET state = ?, failures = 0, interruptions = 0, due_time = 0 "
      "WHERE key BETWEEN ? AND ? AND state <> ?",
      static_cast<int64_t>(v1::Task::PENDING), TaskKey(job, 0), TaskKey(job + 1, 0) - 1,
      static_cast<int64_t>(v1::Task::SUCCEEDED));
}

absl::StatusOr<bool> Journal::DeleteSome(int64_t job, int64_t limit) {
  const int64_t first = TaskKey(job, 0), last = TaskKey(job + 1, 0) - 1;
  absl::StatusOr<int64_t> changes = 0;
  const auto some = [&](const char* sql) {
    absl::Status status = database_->Run(sql, first, last, limit);
    if (status.ok()) changes = database_->Number("SELECT changes()");
    return status.ok() ? changes.status() : status;
  };
  for (const char* sql : {"DELETE FROM log WHERE id IN (SELECT id FROM log WHERE key BETWEEN ? AND ? LIMIT ?)",
                          "DELETE FROM task WHERE key IN (SELECT key FROM task WHERE key BETWEEN ? AND ? LIMIT ?)",
                          "DELETE FROM input WHERE key IN (SELECT key FROM input WHERE key BETWEEN ? AND ? LIMIT ?)"}) {
    absl::Status status = some(sql);
    if (!status.ok()) return status;
    if (*changes > 0) return false;
  }
  absl::Status status = database_->Run("DELETE FROM dependency WHERE job = ?", job);
  if (status.ok()) status = database_->Run("DELETE FROM script WHERE job = ?", job);
  if (status.ok()) status = database_->Run("DELETE FROM job WHERE id = ?", job);
  if (!status.ok()) return status;
  return true;
}

absl::Status Journal::Shrink(int64_t pages) {
  // A PRAGMA takes no arguments.
  return database_->Script(absl::StrCat("PRAGMA incremental_vacuum(", pages, ")").c_str());
}

absl::Status Journal::RollbackToSavepoint() {
  absl::Status status = database_->Run("ROLLBACK TO part");
  return status.ok() ? ReleaseSavepoint() : status;
}

// ---- reading --------------------------------------------------------------------------------------------------------

absl::StatusOr<std::optional<JobRecord>> Journal::One(Rows rows) {
  std::optional<JobRecord> found;
  if (rows.Next()) found = ReadJob(rows);
  if (!rows.status().ok()) return rows.status();
  return found;
}

absl::StatusOr<std::vector<JobRecord>> Journal::Many(Rows rows) {
  std::vector<JobRecord> jobs;
  while (rows.Next()) jobs.push_back(ReadJob(rows));
  if (!rows.status().ok()) return rows.status();
  return jobs;
}

absl::StatusOr<std::vector<JobRecord>> Journal::JobsInStates(int first, int last) {
  return Many(database_->Query("SELECT " JOB_COLUMNS " FROM job WHERE state BETWEEN ? AND ? ORDER BY id", first, last));
}

absl::StatusOr<std::optional<JobRecord>> Journal::FindJob(std::string_view name) {
  return One(database_->Query("SELECT " JOB_COLUMNS " FROM job WHERE name = ? AND state < 100", name));
}

absl::StatusOr<std::optional<JobRecord>> Journal::FindJob(int64_t id) {
  return One(database_->Query("SELECT " JOB_COLUMNS " FROM job WHERE id = ?", id));
}

absl::StatusOr<std::optional<Journal::Key>> Journal::FindKey(std::string_view name) {
  Rows rows = database_->Query("SELECT id, owner FROM job WHERE name = ? AND state < 100", name);
  std::optional<Key> found;
  if (rows.Next()) found = {.id = rows.Int(0), .owner = std::string(rows.Bytes(1))};
  if (!rows.status().ok()) return rows.status();
  return found;
}

absl::StatusOr<std::vector<JobRecord>> Journal::FindRequest(std::string_view prefix) {
  // What follows is a number.
  return Many(database_->Query("SELECT " JOB_COLUMNS
                               " FROM job WHERE request_id > ?1 AND request_id < ?1 || '~' AND state < 100 ORDER BY id",
                               prefix));
}

absl::StatusOr<std::string> Journal::Script(int64_t job) {
  Rows rows = database_->Query("SELECT source FROM script WHERE job = ?", job);
  std::string script;
  if (rows.Next()) script = rows.Bytes(0);
  if (!rows.status().ok()) return rows.status();
  return script;
}

absl::StatusOr<std::vector<int64_t>> Journal::DependenciesOf(int64_t job) {
  Rows rows = database_->Query("SELECT after FROM dependency WHERE job = ?", job);
  std::vector<int64_t> found;
  while (rows.Next()) found.push_back(rows.Int(0));
  if (!rows.status().ok()) return rows.status();
  return found;
}

absl::StatusOr<std::vector<int64_t>> Journal::DependentsOf(int64_t job) {
  Rows rows = database_->Query(
      "SELECT job.id FROM dependency JOIN job ON job.id = dependency.job "
      "WHERE dependency.after = ? AND job.state < ? "
      "UNION SELECT id FROM job WHERE input_of = ? AND input_of <> 0 AND state < ?",
      job, static_cast<int64_t>(v1::Job::SUCCEEDED), job, static_cast<int64_t>(v1::Job::SUCCEEDED));
  std::vector<int64_t> found;
  while (rows.Next()) found.push_back(rows.Int(0));
  if (!rows.status().ok()) return rows.status();
  return found;
}

absl::StatusOr<Journal::Input> Journal::FindInput(int64_t job, int64_t index) {
  Rows rows = database_->Query("SELECT key, batch FROM input WHERE key BETWEEN ? AND ? ORDER BY key DESC LIMIT 1",
                               TaskKey(job, 0), TaskKey(job, index));
  Input input;
  if (rows.Next()) {
    input.first_index = IndexOfKey(rows.Int(0));
    input.batch = rows.Bytes(1);
  }
  if (!rows.status().ok()) return rows.status();
  return input;
}

absl::StatusOr<std::vector<TaskRecord>> Journal::UnfinishedTasks(int64_t job, int64_t after, int64_t end,
                                                                 int64_t limit) {
  Rows rows = database_->Query("SELECT " TASK_COLUMNS
                               " FROM task WHERE state <= 2 AND key > ? AND key < ? ORDER BY key LIMIT ?",
                               TaskKey(job, 0) + after, TaskKey(job, 0) + end, limit);
  std::vector<TaskRecord> tasks;
  while (rows.Next()) tasks.push_back(ReadTask(rows));
  if (!rows.status().ok()) return rows.status();
  return tasks;
}

absl::StatusOr<std::vector<int64_t>> Journal::TasksWithoutRow(int64_t job, int64_t end) {
  Rows rows = database_->Query("SELECT key FROM task WHERE key BETWEEN ? AND ? ORDER BY key", TaskKey(job, 0),
                               TaskKey(job, end) - 1);
  std::vector<int64_t> missing;
  int64_t next = 0;
  const auto up_to = [&](int64_t index) {
    for (; next < index; ++next) missing.push_back(next);
  };
  while (rows.Next()) {
    up_to(IndexOfKey(rows.Int(0)));
    ++next;
  }
  if (!rows.status().ok()) return rows.status();
  up_to(end);
  return missing;
}

absl::StatusOr<std::optional<TaskRecord>> Journal::FindTask(int64_t job, int64_t index) {
  Rows rows = database_->Query("SELECT " TASK_COLUMNS " FROM task WHERE key = ?", TaskKey(job, index));
  std::optional<TaskRecord> found;
  if (rows.Next()) found = ReadTask(rows);
  if (!rows.status().ok()) return rows.status();
  return found;
}

absl::Status Journal::ForEachResult(int64_t job, absl::FunctionRef<absl::Status(std::string_view outcome)> visit) {
  Rows rows = database_->Query("SELECT outcome FROM task WHERE key BETWEEN ? AND ? AND state = ? ORDER BY key",
                               TaskKey(job, 0), TaskKey(job + 1, 0) - 1, static_cast<int64_t>(v1::Task::SUCCEEDED));
  while (rows.Next()) {
    absl::Status visited = visit(rows.Bytes(0));
    if (!visited.ok()) return visited;
  }
  return rows.status();
}

absl::StatusOr<std::optional<int64_t>> Journal::OldestEnded(absl::Time before, std::optional<std::string_view> owner) {
  Rows rows = database_->Query(
      "SELECT id FROM job WHERE state BETWEEN ?1 AND ?2 AND end_time < ?3 AND (?4 OR owner = ?5) "
      "AND NOT EXISTS(SELECT 1 FROM dependency JOIN job AS later ON later.id = dependency.job "
      "               WHERE dependency.after = job.id AND later.state < ?1) "
      "AND NOT EXISTS(SELECT 1 FROM job AS later "
      "               WHERE later.input_of = job.id AND later.input_of <> 0 AND later.state < ?1) "
      "ORDER BY end_time LIMIT 1",
      static_cast<int64_t>(v1::Job::SUCCEEDED), static_cast<int64_t>(v1::Job::CANCELLED), absl::ToUnixMicros(before),
      !owner.has_value(), owner.value_or(""));
  std::optional<int64_t> found;
  if (rows.Next()) found = rows.Int(0);
  if (!rows.status().ok()) return rows.status();
  return found;
}

absl::StatusOr<std::map<std::string, int64_t>> Journal::BytesOfOwners() {
  Rows rows = database_->Query("SELECT owner, sum(bytes) FROM job GROUP BY owner");
  std::map<std::string, int64_t> bytes;
  while (rows.Next()) bytes[std::string(rows.Bytes(0))] = rows.Int(1);
  if (!rows.status().ok()) return rows.status();
  return bytes;
}

absl::StatusOr<std::map<int, int64_t>> Journal::CountJobs() {
  Rows rows = database_->Query("SELECT state, count(*) FROM job WHERE state < 100 GROUP BY state");
  std::map<int, int64_t> counts;
  while (rows.Next()) counts[static_cast<int>(rows.Int(0))] = rows.Int(1);
  if (!rows.status().ok()) return rows.status();
  return counts;
}

absl::StatusOr<int64_t> Journal::UsedBytes() {
  int64_t pages[3];
  const char* queries[] = {"PRAGMA page_count", "PRAGMA freelist_count", "PRAGMA page_size"};
  for (int i = 0; i < 3; ++i) {
    absl::StatusOr<int64_t> number = database_->Number(queries[i]);
    if (!number.ok()) return number.status();
    pages[i] = *number;
  }
  return (pages[0] - pages[1]) * pages[2];
}

}  // namespace interpd::daemon
