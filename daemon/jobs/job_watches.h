// JobWatches: who wants to know when a job has changed.
//
// Who includes this: the engine, which tells, and the RPCs that stream. Thread safety: all methods, any thread.
#ifndef INTERPD_DAEMON_JOBS_JOB_WATCHES_H_
#define INTERPD_DAEMON_JOBS_JOB_WATCHES_H_

#include <cstdint>
#include <functional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/synchronization/mutex.h"

namespace interpd::daemon {

class JobWatches {
 public:
  // `changed` is called whenever the job, its tasks or its logs have changed in the journal, until Stop has returned.
  // It must not block, and call nothing here.
  int64_t Watch(int64_t job, std::function<void()> changed) {
    absl::MutexLock lock(mutex_);
    const int64_t id = ++last_id_;
    watches_[job].emplace(id, std::move(changed));
    jobs_[id] = job;
    return id;
  }

  void Stop(int64_t id) {
    absl::MutexLock lock(mutex_);
    auto job = jobs_.find(id);
    if (job == jobs_.end()) return;
    auto watches = watches_.find(job->second);
    watches->second.erase(id);
    if (watches->second.empty()) watches_.erase(watches);
    jobs_.erase(job);
  }

  void Tell(const absl::flat_hash_set<int64_t>& changed) {
    absl::MutexLock lock(mutex_);
    if (watches_.empty()) return;
    for (int64_t job : changed) {
      auto watches = watches_.find(job);
      if (watches == watches_.end()) continue;
      for (auto& [id, tell] : watches->second) tell();
    }
  }

 private:
  absl::Mutex mutex_;
  int64_t last_id_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::flat_hash_map<int64_t, absl::flat_hash_map<int64_t, std::function<void()>>> watches_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<int64_t, int64_t> jobs_ ABSL_GUARDED_BY(mutex_);  // watch -> job
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_JOBS_JOB_WATCHES_H_
