// InterpreterWorker: the thread that isolates itself, makes one interpreter, runs its work and ends it.
//
// Who includes this: interpreter_registry. Everybody else sees the interface Interpreter.
//
// Life: CREATING -> ACTIVE <-> RUNNING -> CLOSING -> CLOSED, or CREATING -> FAILED, or CLOSING -> STUCK. The thread
// touches no file descriptor of the daemon once it is isolated; what must happen in the daemon's fd table (closing
// pipes, joining) it leaves to the timer thread.
#ifndef INTERPD_INTERP_INTERPRETER_WORKER_H_
#define INTERPD_INTERP_INTERPRETER_WORKER_H_

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <semaphore>
#include <string>
#include <thread>
#include <vector>

#include "interp/interpreter.h"
#include "interp/interpreter_link.h"
#include "interp/memory_account.h"
#include "interp/output_capture.h"
#include "interp/python_api.h"
#include "interp/python_executor.h"
#include "interp/subinterpreter.h"
#include "interp/time_histogram.h"
#include "interp/timer_thread.h"
#include "interp/work_queue.h"

namespace interpd::interp {

// Past its grace period a closing interpreter has this long to end before it is given up as STUCK.
inline constexpr absl::Duration kStuckAfter = absl::Seconds(5);

// What all workers share. Outlives them.
struct HostServices {
  HostServices(EncodeLimits limits_in, channels::ChannelRegistry* channels_in,
               std::shared_ptr<ConstantBooks> constants_in);

  const EncodeLimits limits;
  channels::ChannelRegistry* const channels;
  const std::shared_ptr<ConstantBooks> constants;
  OutputPump pump;
  TimerThread timers;
  // More at once would only compete for the cores.
  std::counting_semaphore<> creating;
};

class InterpreterWorker : public Interpreter, public std::enable_shared_from_this<InterpreterWorker> {
 public:
  // Called under the rules of Work::Done.
  struct Observer {
    absl::AnyInvocable<void(absl::Status) &&> made;  // once: OK, or why it FAILED
    // CLOSED, FAILED or STUCK, before the callbacks of Close; after STUCK, CLOSED if it ends after all.
    absl::AnyInvocable<void(State)> ended;
  };

  InterpreterWorker(std::string name, InterpreterConfig config, HostServices* host, Observer observer);
  ~InterpreterWorker() override;

  // Starts the thread, which keeps the object alive. Call once.
  absl::Status Start();

  const std::string& name() const override { return name_; }
  const InterpreterConfig& config() const override { return config_; }
  InterpreterInfo info() const override;
  WorkTimes work_times() const {
    return {.queue = queue_times_.Read(), .run = run_times_.Read(), .raised_count = raised_.load()};
  }
  absl::Status Submit(std::shared_ptr<Work> work) override;
  void Cancel(const std::shared_ptr<Work>& work) override;
  bool Interrupt() override;
  void ResumeOutput() override;
  void Close(absl::Duration grace, absl::AnyInvocable<void(State) &&> done) override;
  LogChunk ReadLog(uint64_t* cursor, size_t max_bytes) override;
  int64_t ListenToLog(absl::AnyInvocable<void()> listener) override;
  void StopListening(int64_t id) override;
  void DumpStacks(absl::AnyInvocable<void(std::string) &&> done) override;

 private:
  struct StackRequest;

  // ---- on the interpreter's thread ----
  void ThreadMain();
  absl::Status Make();
  // Once.
  void TellMade(const absl::Status& status);
  // Why it could not be made, with its name.
  absl::Status NamedFailure(const absl::Status& status) const;
  void Serve();
  void RunWork(std::shared_ptr<Work> work);
  void AnswerStackRequests();
  void EndInterpreter();
  void EndThreads();
  static int OnPendingCall(void* worker);

  // ---- on any thread ----
  absl::Status ClosingError() const;
  static absl::Status CancelledError();
  void DropWaitingWork();
  // Ends work that waits. Returns false if it does not wait any more.
  bool EndWaiting(const std::shared_ptr<Work>& work, absl::Status status);
  // Requires mu_. Makes the interpreter's thread see `interrupt_requested_` soon, even from a blocking wait.
  void Kick();
  // Kicks again while `work` runs and the interrupt has not been seen: a signal that comes between CPython's last look
  // and the system call it is about to make is lost on that call.
  void KickUntilSeen(std::shared_ptr<Work> work, absl::Duration pause);
  // Interrupts `work`, or with null whatever runs, again until it has ended.
  void KeepInterrupting(std::shared_ptr<Work> work, absl::Duration pause);
  // At the end of the grace period: interrupts what still runs.
  void EnforceClose();
  // Half way to giving up: a receiver that does not read must not hold up the end.
  void DropOutput();
  void GiveUp();
  // On the timer thread, once the interpreter's thread is at its end.
  void Reap();

  const std::string name_;
  const InterpreterConfig config_;
  HostServices* const host_;
  const absl::Time create_time_;

  WorkQueue queue_;
  const std::shared_ptr<InterpreterLink> link_;
  std::shared_ptr<OutputCapture> output_;  // set before Start returns
  std::atomic<int64_t> completed_{0};
  std::atomic<int64_t> raised_{0};
  TimeHistogram queue_times_, run_times_;      // written by the interpreter's thread
  std::atomic<size_t> cancelled_in_queue_{0};  // Works that were cancelled while they waited and are still linked
  std::atomic<bool> closing_{false};
  std::atomic<bool> interrupt_requested_{false};
  std::atomic<bool> interrupt_passed_on_{false};  // to the interpreter's thread, by another of its threads
  std::atomic<bool> stacks_wanted_{false};
  std::atomic<bool> interruptible_{true};  // false while output is written out, which an exception would cut off

  // The interpreter's thread alone.
  std::optional<SubInterpreter> interpreter_;
  std::optional<PythonExecutor> executor_;

  mutable std::mutex mu_;
  Observer observer_;
  State state_ = State::kCreating;
  absl::Status failure_;
  std::thread thread_;
  int64_t native_thread_id_ = 0;
  clockid_t cpu_clock_ = 0;
  MemoryAccount* memory_ = nullptr;  // while its thread runs
  absl::Duration final_cpu_time_;
  PyInterpreterState* interpreter_state_ = nullptr;  // while it may be kicked
  std::shared_ptr<Work> running_;
  bool ending_ = false;  // runs atexit functions and ends threads
  absl::Time close_deadline_ = absl::InfiniteFuture();
  std::vector<absl::AnyInvocable<void(State) &&>> close_callbacks_;
  std::vector<std::shared_ptr<StackRequest>> stack_requests_;
  std::vector<TimerThread::Token> close_timers_;
};

}  // namespace interpd::interp

#endif  // INTERPD_INTERP_INTERPRETER_WORKER_H_
