#include "daemon/jobs/journal_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "absl/strings/str_cat.h"

namespace interpd::daemon {
namespace {

// Tells `file` and others what this is: "IpdJ".
constexpr int64_t kApplicationId = 0x4970644a;

// A job's id and a task's index make the key of the task: rows of one job lie together, and are appended in the order
// of their indexes. Times are microseconds since 1970; 0 is none. `spec`, `error` and `outcome` are messages of
// jobs.proto.
constexpr char kTables[] = R"(
CREATE TABLE job(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,           -- the ID of jobs/ID
  uid TEXT NOT NULL,                   -- begins the keys of its tasks
  owner TEXT NOT NULL,
  request_id TEXT UNIQUE,              -- owner, id and position of the submit that made it
  spec BLOB NOT NULL,                  -- a JobSpec without script and values
  script BLOB NOT NULL,
  input_of INTEGER NOT NULL,           -- the job whose inputs it takes; from version 3 on 0 for its own
  state INTEGER NOT NULL,              -- Job.State, or 100: receives inputs, 101: is being deleted
  task_count INTEGER NOT NULL,
  next_index INTEGER NOT NULL,         -- tasks from here on were never begun
  succeeded INTEGER NOT NULL,
  failed INTEGER NOT NULL,
  retried INTEGER NOT NULL,
  create_time INTEGER NOT NULL,
  start_time INTEGER NOT NULL,
  end_time INTEGER NOT NULL,
  due_time INTEGER NOT NULL,
  error BLOB NOT NULL,                 -- a JobError, or empty
  parent INTEGER                       -- the job with the cron expression
);
CREATE INDEX job_by_state ON job(state, end_time);
CREATE INDEX job_by_parent ON job(parent) WHERE parent IS NOT NULL;
CREATE TABLE dependency(job INTEGER NOT NULL, after INTEGER NOT NULL, PRIMARY KEY(job, after)) WITHOUT ROWID;
CREATE INDEX dependency_by_after ON dependency(after);
CREATE TABLE input(
  key INTEGER PRIMARY KEY,             -- job << 32 | index of the first
  batch BLOB NOT NULL                  -- a ValueBatch
);
CREATE TABLE task(
  key INTEGER PRIMARY KEY,             -- job << 32 | index
  state INTEGER NOT NULL,              -- Task.State; one without a row is PENDING, or RUNNING below next_index
  attempt INTEGER NOT NULL,
  failures INTEGER NOT NULL,           -- attempts that have failed, since the last Retry
  interruptions INTEGER NOT NULL,      -- times that the daemon was killed while it ran
  due_time INTEGER NOT NULL,           -- PENDING: not before
  start_time INTEGER NOT NULL,
  end_time INTEGER NOT NULL,
  outcome BLOB NOT NULL                -- a Task with its outcome alone
);
CREATE INDEX task_unfinished ON task(key) WHERE state <= 2;
CREATE TABLE log(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  key INTEGER NOT NULL,                -- of the task
  attempt INTEGER NOT NULL,
  stream INTEGER NOT NULL,             -- Output.Stream
  dropped INTEGER NOT NULL,
  data BLOB NOT NULL
);
CREATE INDEX log_by_task ON log(key);
CREATE INDEX log_by_job ON log(key >> 32);
)";

// Which script a migration runs to reach its version from the one before.
constexpr std::array<const char*, kJournalVersion> kMigrations = {
    kTables,
    // Jobs with a cron expression know what was made of them.
    "ALTER TABLE job ADD COLUMN run_count INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE job ADD COLUMN last_run INTEGER NOT NULL DEFAULT 0;",
    // Scripts out of the way of what changes as a job goes on.
    "CREATE TABLE script(job INTEGER PRIMARY KEY, source BLOB NOT NULL);"
    "INSERT INTO script SELECT id, script FROM job;"
    "ALTER TABLE job DROP COLUMN script;"
    "UPDATE job SET input_of = 0 WHERE input_of = id;"
    "CREATE INDEX job_by_input ON job(input_of) WHERE input_of <> 0;",
    // What a job takes in the journal, about: its own rows (kRowBytes each, and what they hold).
    "ALTER TABLE job ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;"
    "UPDATE job SET bytes = 64 + length(spec) + "
    "ifnull((SELECT length(source) FROM script WHERE script.job = job.id), 0) + "
    "ifnull((SELECT sum(64 + length(batch)) FROM input WHERE key BETWEEN job.id << 32 AND ((job.id + 1) << 32) - 1), "
    "0) + "
    "ifnull((SELECT sum(64 + length(outcome)) FROM task WHERE key BETWEEN job.id << 32 AND ((job.id + 1) << 32) - 1), "
    "0) + "
    "ifnull((SELECT sum(64 + length(data)) FROM log WHERE key BETWEEN job.id << 32 AND ((job.id + 1) << 32) - 1), 0);",
};

absl::Status Unusable(const std::string& path, std::string_view why) {
  return absl::FailedPreconditionError(absl::StrCat(path, ": ", why));
}

}  // namespace

absl::StatusOr<JournalLock> JournalLock::Acquire(const std::string& directory) {
  if (mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot make the state directory ", directory));
  }
  const std::string path = absl::StrCat(directory, "/jobs.lock");
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot open ", path));
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    const int error = errno;
    close(fd);
    if (error != EWOULDBLOCK) return absl::ErrnoToStatus(error, absl::StrCat("cannot lock ", path));
    return absl::AlreadyExistsError(absl::StrCat("another daemon uses the state directory ", directory,
                                                 "; stop it first, or choose another with --state-dir"));
  }
  return JournalLock(fd);
}

JournalLock::~JournalLock() {
  if (fd_ >= 0) close(fd_);
}

std::string JournalPath(const std::string& directory) { return absl::StrCat(directory, "/jobs.sqlite"); }

absl::Status MigrateJournal(Database& database, int version) {
  absl::StatusOr<int64_t> from = database.Number("PRAGMA user_version");
  if (!from.ok()) return from.status();
  for (int64_t next = *from + 1; next <= version; ++next) {
    // One transaction each: whoever is killed in between goes on from there.
    std::string script =
        absl::StrCat("BEGIN IMMEDIATE;", kMigrations[static_cast<size_t>(next - 1)], "PRAGMA user_version = ", next,
                     ";PRAGMA application_id = ", kApplicationId, ";COMMIT;");
    absl::Status migrated = database.Script(script.c_str());
    if (!migrated.ok()) return migrated;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Database>> OpenJournal(const std::string& directory) {
  const std::string path = JournalPath(directory);
  const mode_t umask_before = umask(0077);  // results may be nobody else's business
  absl::StatusOr<std::unique_ptr<Database>> opened = Database::Open(path, Database::Access::kReadWrite);
  absl::StatusOr<int64_t> version = opened.ok() ? (*opened)->Number("PRAGMA user_version") : opened.status();
  umask(umask_before);
  if (!version.ok()) {
    return Unusable(path, absl::StrCat("cannot be opened: ", version.status().message(),
                                       "; if it is damaged, restore it from a backup, or move it away"));
  }
  Database& database = **opened;
  absl::StatusOr<int64_t> application = database.Number("PRAGMA application_id");
  absl::StatusOr<int64_t> tables = database.Number("SELECT count(*) FROM sqlite_schema");
  if (!application.ok()) return application.status();
  if (!tables.ok()) return tables.status();
  if (*application != kApplicationId && *tables > 0) {
    return Unusable(path, "is a database of another program; choose another directory with --state-dir");
  }
  if (*version > kJournalVersion) {
    return Unusable(path, absl::StrCat("is of version ", *version, ", made by a newer interpd; this one knows up to ",
                                       kJournalVersion, ". Nothing was changed; start the newer one again"));
  }
  // Before there are tables: then what is deleted can be given back to the disk in steps.
  absl::Status ready = database.Script(
      "PRAGMA auto_vacuum = INCREMENTAL;"
      "PRAGMA journal_mode = WAL;"
      "PRAGMA synchronous = FULL;"
      "PRAGMA wal_autocheckpoint = 4000;"
      "PRAGMA cache_size = -16000;"
      "PRAGMA temp_store = MEMORY;");
  if (ready.ok()) ready = MigrateJournal(database, kJournalVersion);
  if (!ready.ok()) return ready;
  return opened;
}

absl::StatusOr<std::unique_ptr<Database>> OpenJournalToRead(const std::string& directory) {
  return Database::Open(JournalPath(directory), Database::Access::kReadOnly);
}

}  // namespace interpd::daemon
