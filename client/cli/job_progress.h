// JobProgress: tells people how far jobs are: in place on a terminal, in a few plain lines elsewhere.
//
// Who includes this: the commands that wait for jobs.
//
// All of it goes to standard error.
#ifndef INTERPD_CLIENT_CLI_JOB_PROGRESS_H_
#define INTERPD_CLIENT_CLI_JOB_PROGRESS_H_

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "client/cli/session.h"
#include "interpd/v1/jobs.pb.h"

namespace interpd::client {

// How many of how many tasks are done, and so how fast and until when. Thread safety: none.
class TaskCounts {
 public:
  // What is known at `now`.
  void Update(int64_t done, int64_t failed, int64_t total, absl::Time now);

  // "380 of 1000 tasks, 2 failed, 120/s, 5.2s left": what is 0 or not known is left out.
  std::string Text() const;
  // Of 0 to 1; 0 while the total is not known.
  double part() const { return total_ == 0 ? 0 : static_cast<double>(done_) / static_cast<double>(total_); }

 private:
  int64_t done_ = 0;
  int64_t failed_ = 0;
  int64_t total_ = 0;
  std::deque<std::pair<absl::Time, int64_t>> recent_;  // when how many were done, of the last seconds
};

// Thread safety: none.
class JobProgress {
 public:
  JobProgress(Session& session, bool on_terminal);
  ~JobProgress();
  JobProgress(const JobProgress&) = delete;
  JobProgress& operator=(const JobProgress&) = delete;

  // One job as it is now.
  void Update(const v1::Job& job, absl::Time now);
  // All that has come at once was given to Update.
  void Show(absl::Time now);

  // Takes the bar off the terminal, for somebody else to write there.
  void Clear();

  // As they were last.
  const std::map<std::string, v1::Job>& jobs() const { return jobs_; }

 private:
  struct Line {
    TaskCounts counts;
    std::optional<v1::Job::State> shown_state;
    int64_t shown_done = -1;
    absl::Time shown;
  };

  // Elsewhere than on a terminal: what is new of one job.
  void SayPlainly(const v1::Job& job, Line& line, absl::Time now);

  Session& session_;
  const bool on_terminal_;
  std::map<std::string, v1::Job> jobs_;
  std::map<std::string, Line> lines_;
  TaskCounts all_;
  bool bar_shown_ = false;
  absl::Time bar_time_;
};

// 0 if all have succeeded; else that of a job that has failed, or else was cancelled.
int ExitCodeOf(const std::map<std::string, v1::Job>& jobs);

// Shows the progress of the jobs until all have ended, across restarts of the daemon. Returns the exit code; with -o
// json prints the jobs as they are in the end.
int WatchJobs(Session& session, Client& client, const std::vector<std::string>& names);

}  // namespace interpd::client

#endif  // INTERPD_CLIENT_CLI_JOB_PROGRESS_H_
