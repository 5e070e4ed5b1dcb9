// Jobs, tasks and logs as the journal keeps them, and as the engine has them in memory.
//
// Who includes this: everything of jobs. Plain data.
#ifndef INTERPD_DAEMON_JOBS_JOB_RECORD_H_
#define INTERPD_DAEMON_JOBS_JOB_RECORD_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "interpd/v1/jobs.pb.h"

namespace interpd::daemon {

// Tasks of one job.
inline constexpr int64_t kMaxTasks = int64_t{1} << 31;

// States of a job beside those of Job.State, in which nobody sees it.
inline constexpr int kReceivingInputs = 100;
inline constexpr int kDeleting = 101;

inline constexpr absl::Time kNoTime = absl::UnixEpoch();

// What a row takes beside what it holds, about.
inline constexpr int64_t kRowBytes = 64;

struct JobRecord {
  int64_t id = 0;
  std::string name;        // the ID of jobs/ID
  std::string uid;         // begins the keys of its tasks
  std::string owner;       // whose namespace it is in; empty: the operators'
  std::string request_id;  // of the submit, with its owner and position
  v1::JobSpec spec;        // without script and values
  int64_t input_of = 0;    // the job that has its inputs
  int state = v1::Job::QUEUED;
  int64_t task_count = 0;
  int64_t next_index = 0;  // tasks from here on were never begun
  int64_t succeeded = 0;
  int64_t failed = 0;
  int64_t retried = 0;
  absl::Time create_time = kNoTime;
  absl::Time start_time = kNoTime;
  absl::Time end_time = kNoTime;
  absl::Time due_time = kNoTime;
  std::string error;        // a serialized JobError; empty: none
  int64_t parent = 0;       // the job with the cron expression that has made it
  std::string parent_name;  // its ID, if it is still there
  int64_t run_count = 0;
  int64_t last_run = 0;  // the last job made of this one
  std::string last_run_name;
  int64_t bytes = 0;  // what its rows take in the journal, about

  bool has_ended() const { return state >= v1::Job::SUCCEEDED && state <= v1::Job::CANCELLED; }
  // One that maps over results has them as its inputs once it has begun.
  bool has_copied_inputs() const { return spec.results_of_after() && task_count > 0; }
  bool has_inputs() const { return spec.inputs_case() != v1::JobSpec::INPUTS_NOT_SET; }
};

struct TaskRecord {
  int64_t job = 0;
  int64_t index = 0;
  int state = v1::Task::PENDING;
  int attempt = 0;        // so far, the one that runs included
  int failures = 0;       // since the last Retry
  int interruptions = 0;  // times that the daemon was killed while it ran
  absl::Time due_time = kNoTime;
  absl::Time start_time = kNoTime;
  absl::Time end_time = kNoTime;
  std::string outcome;      // a serialized Task, with its outcome alone
  int64_t saved_bytes = 0;  // what its row takes, as its job's bytes have it
};

struct LogRecord {
  int64_t job = 0;
  int64_t index = 0;
  int attempt = 0;
  v1::Output::Stream stream = v1::Output::STDOUT;
  int64_t dropped_bytes = 0;
  std::string data;
};

inline constexpr int64_t TaskKey(int64_t job, int64_t index) { return (job << 32) | index; }
inline constexpr int64_t JobOfKey(int64_t key) { return key >> 32; }
inline constexpr int64_t IndexOfKey(int64_t key) { return key & 0xffffffff; }

inline std::string JobResourceName(std::string_view id) { return absl::StrCat("jobs/", id); }
// Of such a name.
inline std::string_view JobIdOf(std::string_view name) { return name.substr(name.find('/') + 1); }

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_JOBS_JOB_RECORD_H_
