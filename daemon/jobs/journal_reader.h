// JournalReader: what clients are shown of jobs, read from the journal beside its writer.
//
// Who includes this: the RPCs of jobs. Thread safety: none; one thread that may block on files.
#ifndef INTERPD_DAEMON_JOBS_JOURNAL_READER_H_
#define INTERPD_DAEMON_JOBS_JOURNAL_READER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "daemon/jobs/database.h"
#include "daemon/jobs/job_record.h"

namespace interpd::daemon {

class JournalReader {
 public:
  // Of a journal that its writer has opened. Errors name the file.
  static absl::StatusOr<std::unique_ptr<JournalReader>> Open(const std::string& directory);

  // `owner` is the namespace in which a job is looked for; empty: all of them. Errors: JOB_NOT_FOUND, INTERNAL_ERROR.
  absl::StatusOr<JobRecord> FindJob(std::string_view owner, std::string_view name);
  absl::StatusOr<std::string> Script(int64_t job);

  struct Filter {
    std::string owner;    // empty: everybody's
    uint64_t states = 0;  // bit N: state N; 0: all
    std::string parent;   // an ID; empty: all
    int64_t before = 0;   // only jobs with ids below; 0: all
  };
  // The newest first.
  absl::StatusOr<std::vector<JobRecord>> List(const Filter& filter, int64_t limit);

  // Tasks of a job from an index on, in the order of their indexes, those without a row made up. `*next` is where to go
  // on; with `wait`, it stays at the first task that has not ended, if its job has not.
  struct TaskFilter {
    uint64_t states = 0;  // bit N: state N
    bool wait = false;
  };
  absl::StatusOr<std::vector<TaskRecord>> Tasks(const JobRecord& job, const TaskFilter& filter, int64_t* next);

  // Logs behind `*after`, a position that is 0 at first.
  absl::StatusOr<std::vector<LogRecord>> Logs(int64_t job, std::optional<int64_t> index, int64_t* after);

 private:
  explicit JournalReader(std::unique_ptr<Database> database) : database_(std::move(database)) {}

  const std::unique_ptr<Database> database_;
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_JOBS_JOURNAL_READER_H_
