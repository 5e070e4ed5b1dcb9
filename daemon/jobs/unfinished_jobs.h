// UnfinishedJobs: how many jobs each owner has that have not ended, and what they take in the journal.
//
// Who includes this: the engine, which keeps it in step with what it has in memory. Thread safety: none.
#ifndef INTERPD_DAEMON_JOBS_UNFINISHED_JOBS_H_
#define INTERPD_DAEMON_JOBS_UNFINISHED_JOBS_H_

#include <cstdint>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "daemon/jobs/job_record.h"

namespace interpd::daemon {

class UnfinishedJobs {
 public:
  struct Use {
    int64_t jobs = 0;
    int64_t bytes = 0;
  };

  Use Of(const std::string& owner) const {
    auto found = by_owner_.find(owner);
    return found == by_owner_.end() ? Use() : found->second;
  }
  const Use& total() const { return total_; }

  void Add(const std::string& owner, Use more) {
    Use& use = by_owner_[owner];
    for (Use* one : {&use, &total_}) {
      one->jobs += more.jobs;
      one->bytes += more.bytes;
    }
    if (use.jobs == 0) by_owner_.erase(owner);
  }
  void Add(const JobRecord& record) { Add(record.owner, {1, record.bytes}); }
  void Remove(const JobRecord& record) { Add(record.owner, {-1, -record.bytes}); }
  // One that is here takes more.
  void Grow(JobRecord& record, int64_t bytes) {
    record.bytes += bytes;
    Add(record.owner, {0, bytes});
  }

 private:
  absl::flat_hash_map<std::string, Use> by_owner_;
  Use total_;
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_JOBS_UNFINISHED_JOBS_H_
