// JobDispatcher: which job's tasks run on which of the daemon's slots.
//
// Who includes this: the engine. Thread safety: none; the engine's thread.
//
// A slot is the right to run one interpreter of a job. Jobs that have tasks to begin, and fewer interpreters than they
// may have, want slots. The owner whose jobs have used the fewest slot-seconds gets the next one, and of its jobs the
// one that has used the fewest for its weight (stride scheduling, twice): so what an owner has many of, or gives a high
// priority, takes slots from its own alone. Who comes late begins where the others are, and nobody waits for long
// because of what it has used while others wanted nothing.
//
// When all slots are used, an interpreter begins no more tasks and gives its slot up when it has run what it has, if
// another job is kQuantum behind: one of the same owner, or one of an owner that has fewer interpreters. But not before
// it has run tasks for kQuantum, and for as long as loading its script took. A job that has no slot at all for
// kPatience, since tasks run for long, gets one beyond those there are, up to twice as many; and the first of an owner
// that has none, up to three times as many.
#ifndef INTERPD_DAEMON_JOBS_JOB_DISPATCHER_H_
#define INTERPD_DAEMON_JOBS_JOB_DISPATCHER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/container/node_hash_map.h"
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
  struct Owner {
    double pass = 0;                                      // slot-seconds that its jobs have used
    double floor = 0;                                     // where its jobs begin that come late
    int64_t slots = 0;                                    // of its jobs
    absl::Time none_since = absl::InfiniteFuture();       // since when it wants one and has none
    absl::btree_set<std::pair<double, int64_t>> wanting;  // (pass, id) of its jobs that want a slot
    // For a while: what it has that stays, and its jobs that work.
    int64_t staying = 0;
    std::vector<ActiveJob*> working;
  };

  // What a job may have at once, as far as it has tasks.
  static bool WantsSlot(const ActiveJob& job, absl::Time now);

  Owner& OwnerOf(const ActiveJob& job) { return owners_[job.record.owner]; }
  // Something about what it wants or has has changed.
  void Changed(Owner& owner, absl::Time now);
  // Those who want slots, the one that is to get the next first.
  std::vector<Owner*> Wanting() const;
  void YieldToOwners(absl::Time now);
  void YieldWithin(Owner& owner, absl::Time now);

  const int64_t slots_;
  int64_t used_ = 0;
  absl::Time accounted_ = absl::InfiniteFuture();   // until when; in the future: nothing runs
  double floor_ = 0;                                // where owners begin that come late
  absl::node_hash_map<std::string, Owner> owners_;  // whoever had jobs: they are few
  absl::flat_hash_set<Owner*> busy_;                // that have slots or want some
  absl::flat_hash_map<int64_t, ActiveJob*> by_id_;  // jobs that want a slot
  absl::flat_hash_set<ActiveJob*> working_;
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_JOBS_JOB_DISPATCHER_H_
