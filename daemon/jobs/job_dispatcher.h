// JobDispatcher: which job's tasks run on which of the daemon's slots.
//
// Who includes this: the engine. Thread safety: none; the engine's thread.
//
// A slot is the right to run one interpreter of a job. Jobs that have tasks to begin, and fewer interpreters than they
// may have, want slots. The job that has used the fewest slot-seconds for its weight gets the next one (stride
// scheduling); one that comes late begins where the others are. An interpreter whose job has used kQuantum more than
// one that wants a slot begins no more tasks and gives its slot up when it has run what it has; but not before it has
// run tasks for kQuantum, and for as long as loading its script took. A job that has no slot at all for kPatience,
// since tasks run for long, gets one beyond those there are, up to twice as many.
#ifndef INTERPD_DAEMON_JOBS_JOB_DISPATCHER_H_
#define INTERPD_DAEMON_JOBS_JOB_DISPATCHER_H_

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_set.h"
#include "absl/time/time.h"
#include "daemon/jobs/active_job.h"

namespace interpd::daemon {

class JobDispatcher {
 public:
  static constexpr absl::Duration kQuantum = absl::Milliseconds(200);
  static constexpr absl::Duration kPatience = absl::Seconds(1);

  explicit JobDispatcher(int64_t slots) : slots_(slots) {}

  // Something about the job has changed: it may want a slot now, or not any more.
  void Update(ActiveJob& job, absl::Time now);
  // It is out of memory soon.
  void Remove(ActiveJob& job);

  // An interpreter of a job was started, or gives its slot up.
  void WorkerStarted(ActiveJob& job, std::shared_ptr<JobWorker> worker);
  void WorkerClosed(ActiveJob& job, const JobWorker& worker, absl::Time now);

  // Adds up what was used since the last time, and marks interpreters that are to yield.
  void Account(absl::Time now);

  // The job that is to get a slot now; null: none.
  ActiveJob* NextForSlot(absl::Time now);

  // When a slot may be due without anything else happening.
  absl::Time NextTime() const;

  // Jobs that have interpreters.
  const absl::flat_hash_set<ActiveJob*>& working() const { return working_; }

 private:
  // What a job may have at once, as far as it has tasks.
  static bool WantsSlot(const ActiveJob& job, absl::Time now);

  const int64_t slots_;
  int64_t used_ = 0;
  absl::Time accounted_ = absl::InfiniteFuture();        // until when; in the future: nothing runs
  double floor_ = 0;                                     // where jobs begin that come late
  absl::btree_set<std::pair<double, int64_t>> wanting_;  // (pass, id) of jobs that want a slot
  absl::flat_hash_map<int64_t, ActiveJob*> by_id_;       // of those
  absl::flat_hash_set<ActiveJob*> working_;
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_JOBS_JOB_DISPATCHER_H_
