// ActiveJob: a job that has not ended, in memory: which of its tasks are to be begun next, and which run.
//
// Who includes this: the engine and its dispatcher. Thread safety: none; the engine's thread.
//
// Bounded memory, however many tasks there are: of those that were never begun only the first's index is known, of
// those that wait for another attempt a bounded number are in memory, and the journal has the rest.
#ifndef INTERPD_DAEMON_JOBS_ACTIVE_JOB_H_
#define INTERPD_DAEMON_JOBS_ACTIVE_JOB_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <queue>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "channels/value.h"
#include "daemon/channel_names.h"
#include "daemon/jobs/job_record.h"
#include "daemon/jobs/job_worker.h"
#include "daemon/jobs/journal.h"

namespace interpd::daemon {

// A Retry of a job whose interpreters are still ending.
struct RetryWaiting {
  std::string owner;
  std::string name;
  absl::AnyInvocable<void(absl::StatusOr<std::vector<JobRecord>>) &&> done;
};

class ActiveJob {
 public:
  explicit ActiveJob(JobRecord record) : record(std::move(record)) {}

  // ---- what is to be begun ----

  // Whether a task could be begun now; if not, when that may change without anything else happening.
  bool HasTask(absl::Time now) const;
  absl::Time NextTaskTime() const;
  // How many at most.
  int64_t TaskCount() const;

  // The task to begin next, as RUNNING, with this attempt counted; none: nothing for now. Reads tasks that wait in the
  // journal when those in memory are used up.
  absl::StatusOr<std::optional<TaskRecord>> TakeTask(absl::Time now, Journal& journal);

  // A task that was taken and is PENDING again.
  void PutBack(const TaskRecord& task);

  // The journal has tasks that are PENDING, which are to be found there: after a start, and after Retry.
  void FindInJournal() {
    scan_from_ = -1;
    scan_end_ = record.next_index;
  }

  // The input of a task; an error is about that very task (INVALID_VALUE) or the journal.
  absl::StatusOr<channels::Value> Item(int64_t index, Journal& journal, ChannelNames& names);

  // What was in memory of tasks and inputs is dropped: the job has ended.
  void Forget();

  // How long to wait after so many failures in a row.
  absl::Duration BackoffAfter(int failures) const;

  double weight() const;

  JobRecord record;
  std::shared_ptr<const JobContext> context;        // once it was needed
  std::vector<std::shared_ptr<JobWorker>> workers;  // that hold a slot
  int closing_workers = 0;                          // that end
  std::vector<RetryWaiting> retries;                // that wait for those
  int64_t next_worker_number = 1;
  // Tasks that were begun and have not ended, and that no journal row tells about yet or as RUNNING.
  int64_t running = 0;

  absl::flat_hash_set<int64_t> waiting_for;      // jobs
  std::string failed_dependency;                 // the resource name of one that did not succeed
  int load_failures = 0;                         // in a row
  absl::Time not_before = absl::InfinitePast();  // after a failure that was nobody's task's
  absl::Time wants_slot_since = absl::InfiniteFuture();

  // Slot-seconds used, by weight: who has the least gets the next slot.
  double pass = 0;

  // In the dispatcher's set of jobs that want a slot, under this value.
  std::optional<double> queued_pass;

 private:
  struct Later {
    bool operator()(const TaskRecord& a, const TaskRecord& b) const {
      return a.due_time != b.due_time ? a.due_time > b.due_time : a.index > b.index;
    }
  };
  absl::Status Scan(Journal& journal);

  std::priority_queue<TaskRecord, std::vector<TaskRecord>, Later> pending_;  // no outcomes in them
  // Behind which index to go on looking in the journal, and where to stop; none: all that is PENDING there is in
  // memory. Those in between were not in memory since, so what the journal says of them is true.
  std::optional<int64_t> scan_from_;
  int64_t scan_end_ = 0;

  int64_t first_input_ = 0;  // of those in memory
  std::vector<absl::StatusOr<channels::Value>> inputs_;
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_JOBS_ACTIVE_JOB_H_
