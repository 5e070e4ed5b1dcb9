// JobWorker: an interpreter that belongs to one job and runs its tasks.
//
// Who includes this: the engine. Everything here is the engine's thread's; what happens on other threads comes to it
// through the inbox.
//
// Life: Start asks for the interpreter and sends the script there. When that has run, or has failed, `on_ready` of the
// options is called; then tasks may be begun, one behind the other. Close ends it, and `on_gone` is called last.
// A script without inputs is a task itself: then there is no waiting, and one task for each JobWorker.
#ifndef INTERPD_DAEMON_JOBS_JOB_WORKER_H_
#define INTERPD_DAEMON_JOBS_JOB_WORKER_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "channels/value.h"
#include "daemon/channel_names.h"
#include "daemon/jobs/inbox.h"
#include "daemon/jobs/job_record.h"
#include "daemon/jobs/task_work.h"
#include "interp/interpreter_registry.h"

namespace interpd::daemon {

// What all workers of a job share; does not change.
struct JobContext {
  int64_t job = 0;
  std::string name;   // jobs/ID
  std::string space;  // the owner's namespace, which its interpreters' names begin with
  std::string id;
  std::string uid;
  int64_t task_count = 0;
  bool has_inputs = false;
  std::string script;
  std::string script_name;
  std::vector<std::string> args;
  channels::Value after;  // a tuple, as begin() of job_task.py takes it
  interp::InterpreterConfig config;
  int64_t log_limit_bytes = 0;
  int64_t max_result_bytes = 0;
};

// How a script could not be brought to run.
struct LoadFailure {
  v1::JobError error;
  bool is_scripts_fault = true;  // else the daemon's, for now: too many interpreters
};

class JobWorker : public std::enable_shared_from_this<JobWorker> {
 public:
  struct Events {
    std::function<void(JobWorker&, std::optional<LoadFailure>)> on_ready;
    std::function<void(JobWorker&)> on_gone;
  };

  // What is given must outlive it. `number` tells it from the job's others.
  JobWorker(std::shared_ptr<const JobContext> context, int64_t number, interp::InterpreterRegistry& registry,
            Inbox& inbox, ChannelNames& names, const Events& events);

  void Start();

  // Gives up the set-up, which takes too long: `on_ready` is called with the failure.
  void FailSetUp(LoadFailure failure) { SetUp(std::move(failure)); }

  // Begins an attempt; `item` is the input, if the job has any. Requires: ready(), not closing().
  void Begin(const TaskRecord& task, const channels::Value& item);

  // The work that was begun first and has not ended has ended. Requires: it is in_flight().
  void Ended(const TaskWork& work, absl::Time now);

  // What runs at this moment, or will next.
  const std::deque<std::shared_ptr<TaskWork>>& in_flight() const { return in_flight_; }
  // Since when the first of them runs, about.
  absl::Time head_since() const { return head_since_; }
  void Cancel(const std::shared_ptr<TaskWork>& work);

  // How many tasks may be in flight, so that they take some milliseconds together.
  size_t window() const;

  bool ready() const { return ready_; }
  absl::Time start_time() const { return start_time_; }
  // Whether it has run tasks for long enough to be worth its making, if another job wants its slot.
  bool MayYield(absl::Time now, absl::Duration quantum) const {
    return ready_ && begun_count_ > 0 && now - ready_time_ >= std::max(quantum, ready_time_ - start_time_);
  }
  bool closing() const { return closing_; }
  // So many attempts were begun here.
  int64_t begun_count() const { return begun_count_; }
  const JobContext& context() const { return *context_; }

  // Ends the interpreter. What runs is interrupted after the grace period.
  void Close(absl::Duration grace);

  // ---- the engine's own marks ----
  bool yielding = false;                           // gets no more tasks: another job is to have its slot
  bool alone = false;                              // runs a task that was interrupted before, and nothing behind it
  absl::Time give_up_at = absl::InfiniteFuture();  // when a cancelled task that does not end costs it the interpreter

 private:
  class SetUpWork;
  void Submit(std::shared_ptr<interp::Work> work);
  void SetUp(std::optional<LoadFailure> failure);
  void Gone();

  const std::shared_ptr<const JobContext> context_;
  const int64_t number_;
  interp::InterpreterRegistry& registry_;
  Inbox& inbox_;
  ChannelNames& names_;
  const Events& events_;

  std::shared_ptr<interp::Interpreter> interpreter_;
  std::deque<std::shared_ptr<TaskWork>> in_flight_;
  absl::Time head_since_;
  absl::Duration average_ = absl::InfiniteDuration();  // of a task, of late
  int64_t begun_count_ = 0;
  absl::Time start_time_;
  absl::Time ready_time_ = absl::InfiniteFuture();
  bool ready_ = false;
  bool reported_ = false;  // that it is ready, or not
  bool closing_ = false;
  bool gone_ = false;
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_JOBS_JOB_WORKER_H_
