// TaskWork: one attempt at a task on its way through an interpreter.
//
// Who includes this: JobWorker, which makes them, and the engine, which hears of their ends.
//
// Output, Done and the result's coding happen on threads of the host; the engine is told through its inbox. Thread
// safety: TakeLogs, any thread; what stands under "ended", the engine's once it was told so.
#ifndef INTERPD_DAEMON_JOBS_TASK_WORK_H_
#define INTERPD_DAEMON_JOBS_TASK_WORK_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "daemon/channel_names.h"
#include "daemon/jobs/inbox.h"
#include "daemon/jobs/job_record.h"
#include "interp/work.h"

namespace interpd::daemon {

class JobWorker;

class TaskWork final : public interp::Work, public std::enable_shared_from_this<TaskWork> {
 public:
  struct Options {
    int64_t log_limit_bytes;
    int64_t max_result_bytes;
    ChannelNames& names;
  };

  // A call of the script's function, or the script itself, whose result comes later by ResultWork.
  TaskWork(interp::CallRequest request, TaskRecord task, Inbox& inbox, const Options& options)
      : Work(std::move(request)), task_(std::move(task)), inbox_(inbox), options_(options) {}
  TaskWork(interp::ExecRequest request, TaskRecord task, Inbox& inbox, const Options& options)
      : Work(std::move(request)), task_(std::move(task)), inbox_(inbox), options_(options) {}

  bool Output(interp::Stream stream, std::string_view data) override;
  void Done(absl::StatusOr<interp::Result> result) override;

  // The script has ended, and this is what it has left as its result.
  void ResultDone(absl::StatusOr<interp::Result> result);

  // What was written since the last time; at its end, also how much was not kept.
  std::vector<LogRecord> TakeLogs(bool has_ended);

  // The task as it was begun.
  const TaskRecord& task() const { return task_; }

  // ---- ended ----
  enum class End {
    kSucceeded,
    kFailed,       // by itself: an exception, an exit code, a result that cannot cross
    kInterrupted,  // from outside: cancelled, or its interpreter was closed
  };
  End end() const { return end_; }
  v1::Task& outcome() { return outcome_; }
  absl::Time end_time() const { return end_time_; }
  absl::Duration run_time() const { return run_time_; }

  // ---- the engine's own marks ----
  std::shared_ptr<JobWorker> worker;
  bool timed_out = false;
  bool recalled = false;  // it waits behind one that runs for long, and is to go back

 private:
  void Encode(absl::StatusOr<interp::Result> result);
  void EncodeResult(const channels::Value& value);
  void Fail(std::string_view error);

  const TaskRecord task_;
  Inbox& inbox_;
  const Options options_;

  std::mutex mutex_;  // stdout and stderr may come from two threads of the host
  std::vector<LogRecord> logs_;
  int64_t logged_bytes_ = 0;
  bool has_logged_ = false;
  int64_t dropped_[2] = {};  // bytes of stdout, stderr
  bool told_ = false;        // the inbox knows that there are logs

  // Of a script and the fetching of its result, which may be dropped before the script has ended.
  enum class Script { kRuns, kSucceeded, kResultDropped };
  std::atomic<Script> script_{Script::kRuns};
  End end_ = End::kInterrupted;
  v1::Task outcome_;
  absl::Time end_time_;
  absl::Duration run_time_;
};

// Fetches the result of a script that was queued just before it.
class ResultWork final : public interp::Work {
 public:
  explicit ResultWork(std::shared_ptr<TaskWork> script);
  bool Output(interp::Stream stream, std::string_view data) override { return script_->Output(stream, data); }
  void Done(absl::StatusOr<interp::Result> result) override { script_->ResultDone(std::move(result)); }

 private:
  const std::shared_ptr<TaskWork> script_;
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_JOBS_TASK_WORK_H_
