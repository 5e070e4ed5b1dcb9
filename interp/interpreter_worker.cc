#include "interp/interpreter_worker.h"

#include <pthread.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <system_error>
#include <utility>

#include "absl/log/log.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "channels/adaptive_spin.h"
#include "channels/error.h"
#include "channels/names.h"
#include "interp/interpreter_registry.h"
#include "interp/python_runtime.h"
#include "interp/thread_isolation.h"

namespace interpd::interp {
namespace {

constexpr absl::Duration kStackTimeout = absl::Seconds(2);

absl::Duration CpuTime(clockid_t clock) {
  timespec time{};
  return clock_gettime(clock, &time) == 0 ? absl::DurationFromTimespec(time) : absl::ZeroDuration();
}

bool HasRaised(const Result& result) {
  return std::visit([](const auto& one) { return one.exception != nullptr; }, result.value);
}

// What passes between interpreters stays in memory: the limit only keeps a mistake from taking all of it.
EncodeLimits ChannelLimits() { return {.max_bytes = size_t{1} << 30, .between_interpreters = true}; }

}  // namespace

HostServices::HostServices(EncodeLimits limits_in, channels::ChannelRegistry* channels_in,
                           std::shared_ptr<ConstantBooks> constants_in)
    : limits(limits_in),
      channels(channels_in),
      constants(std::move(constants_in)),
      creating(static_cast<int>(std::max(1u, std::thread::hardware_concurrency()))) {}

// Whoever sets `answered` answers.
struct InterpreterWorker::StackRequest {
  std::atomic<bool> answered{false};
  absl::AnyInvocable<void(std::string) &&> done;

  void Answer(std::string text) {
    if (!answered.exchange(true)) std::move(done)(std::move(text));
  }
};

InterpreterWorker::InterpreterWorker(std::string name, InterpreterConfig config, HostServices* host, Observer observer)
    : name_(std::move(name)),
      config_(std::move(config)),
      host_(host),
      create_time_(absl::Now()),
      queue_(std::max<size_t>(config_.queue_limit, 1)),
      link_(std::make_shared<InterpreterLink>(HostedAccess{.channels = host_->channels,
                                                           .constants = host_->constants,
                                                           .may_publish = config_.may_publish,
                                                           .space = config_.space,
                                                           .limits = ChannelLimits()},
                                              [this] { queue_.event().NotifyAll(); })),
      observer_(std::move(observer)) {}

InterpreterWorker::~InterpreterWorker() = default;

absl::Status InterpreterWorker::Start() {
  absl::StatusOr<std::shared_ptr<OutputCapture>> output = OutputCapture::Open(&host_->pump, config_.log_limit_bytes);
  if (!output.ok()) return output.status();
  output_ = *std::move(output);
  std::lock_guard lock(mu_);
  try {  // that is how it says that there are no more threads
    thread_ = std::thread([self = shared_from_this()]() mutable {
      self->ThreadMain();
      // The timer thread holds the last share: joining this thread from itself would hang.
      TimerThread& timers = self->host_->timers;
      timers.Run([self = std::move(self)] { self->Reap(); });
    });
  } catch (const std::system_error& error) {
    output_->Close();
    return absl::ResourceExhaustedError(absl::StrCat(
        "there is no thread for it (", error.what(),
        "); close others, or raise the limit of threads: TasksMax= of a unit, pids.max of a container, ulimit -u"));
  }
  return absl::OkStatus();
}

// ---- the interpreter's thread -------------------------------------------------------------------------------------

void InterpreterWorker::ThreadMain() {
  pthread_setname_np(pthread_self(), absl::StrCat("py:", channels::IdOf(name_)).substr(0, 15).c_str());
  {
    std::lock_guard lock(mu_);
    native_thread_id_ = syscall(SYS_gettid);
    pthread_getcpuclockid(pthread_self(), &cpu_clock_);
    memory_ = MemoryAccount::OpenForThread();
  }
  absl::Status made = Make();
  {
    std::lock_guard lock(mu_);
    failure_ = NamedFailure(made);
    if (made.ok() && state_ == State::kCreating) state_ = State::kActive;
  }
  if (made.ok()) {
    TellMade(made);
    Serve();
  } else {
    DropWaitingWork();
  }
  if (interpreter_.has_value()) EndInterpreter();
  std::lock_guard lock(mu_);
  std::exchange(memory_, nullptr)->Close();
}

void InterpreterWorker::TellMade(const absl::Status& status) {
  // What it holds may hold this.
  std::exchange(observer_.made, nullptr)(status);
}

absl::Status InterpreterWorker::NamedFailure(const absl::Status& status) const {
  const std::string reason = channels::GetErrorInfo(status).reason;
  if (status.ok() || reason == "INVALID_FIELD") return status;
  return channels::MakeError(status.code(), "INTERPRETER_FAILED", status.message(),
                             {{"interpreter", channels::IdOf(name_)}});
}

absl::Status InterpreterWorker::Make() {
  absl::Status isolated = IsolateThread(output_->ReleaseKeptFds(), config_.cwd);
  if (!isolated.ok()) return isolated;
  host_->creating.acquire();
  absl::StatusOr<SubInterpreter> made = SubInterpreter::Create();
  host_->creating.release();
  if (!made.ok()) return made.status();
  interpreter_.emplace(*std::move(made));
  {
    std::lock_guard lock(mu_);
    interpreter_state_ = interpreter_->interpreter_state();
    memory_->CountFor(interpreter_state_);
  }
  executor_.emplace(host_->limits);
  if (!link_->Open()) {
    PyErr_Clear();
    return absl::ResourceExhaustedError("there is not enough memory for an interpreter");
  }
  return executor_->SetUp(config_);
}

void InterpreterWorker::Serve() {
  PyThreadState* thread_state = PyEval_SaveThread();
  channels::AdaptiveSpin spin;
  auto wanted = [this] {
    // relaxed: the event count, or the next look, orders what comes after.
    return queue_.HasWork() || closing_.load(std::memory_order_relaxed) ||
           stacks_wanted_.load(std::memory_order_relaxed) || link_->HasErrands();
  };
  bool hot = false;  // it has not slept since the last piece of work
  while (!closing_.load(std::memory_order_acquire)) {
    if (!wanted() && !spin.Spin(wanted)) {
      hot = false;
      uint32_t key = queue_.event().PrepareWait();
      if (wanted()) {
        queue_.event().CancelWait(key);
      } else {
        const auto asleep_since = channels::AdaptiveSpin::Clock::now();
        queue_.event().Wait(key);
        spin.Slept(asleep_since);
      }
      continue;
    }
    // What background threads wrote while nothing ran belongs to the log. Just after a piece of work, whose end has
    // seen the pipes empty, that is a matter of microseconds, which nobody can tell from writing during the next.
    if (!std::exchange(hot, true)) output_->Settle();
    PyEval_RestoreThread(thread_state);
    if (stacks_wanted_.load(std::memory_order_relaxed)) AnswerStackRequests();
    if (!link_->RunErrands()) PyErr_WriteUnraisable(nullptr);
    while (std::shared_ptr<Work> work = queue_.Pop()) {
      RunWork(std::move(work));
      // Between two pieces of work other threads of the interpreter get their turn as the GIL decides.
    }
    PyEval_SaveThread();
  }
  PyEval_RestoreThread(thread_state);
}

void InterpreterWorker::RunWork(std::shared_ptr<Work> work) {
  auto expected = Work::Phase::kQueued;
  // seq_cst, as in Cancel: either that sees that the work runs, or this sees that it is cancelled.
  if (!work->phase_.compare_exchange_strong(expected, Work::Phase::kRunning, std::memory_order_seq_cst)) {
    cancelled_in_queue_.fetch_sub(1, std::memory_order_relaxed);
    return;
  }
  queue_.Leave();
  if (work->cancelled_.load(std::memory_order_seq_cst)) {
    work->phase_.store(Work::Phase::kDone, std::memory_order_release);
    work->Done(CancelledError());
    return;
  }
  {
    std::lock_guard lock(mu_);
    running_ = work;
    if (state_ == State::kActive) state_ = State::kRunning;
  }
  output_->Begin(work.get());
  const absl::Time start = absl::Now();

  absl::StatusOr<Result> outcome = Result{};
  if (const auto* exec = std::get_if<ExecRequest>(&work->request())) {
    outcome->value = executor_->Exec(*exec);
  } else {
    absl::StatusOr<CallResult> result = executor_->Call(std::get<CallRequest>(work->request()));
    if (result.ok()) {
      outcome->value = *std::move(result);
    } else {
      outcome = result.status();
    }
  }
  executor_->FlushReplacedStreams();
  interruptible_ = false;
  executor_->FlushOwnStreams();
  const absl::Duration run_time = absl::Now() - start;
  queue_times_.Record(start - work->submit_time_);
  run_times_.Record(run_time);
  if (outcome.ok()) {
    outcome->run_time = run_time;
    if (HasRaised(*outcome)) raised_.fetch_add(1, std::memory_order_relaxed);
  }
  if (!output_->TryFinish()) {
    // Until the pump has delivered everything, background threads of the interpreter may go on.
    ScopedDetach detached;
    output_->Finish();
  }

  bool interrupted;
  {
    std::lock_guard lock(mu_);
    running_.reset();
    if (state_ == State::kRunning) state_ = State::kActive;
    interrupted = interrupt_requested_.exchange(false);
    interrupt_passed_on_ = false;
    interruptible_ = true;
  }
  // An interrupt that came too late must not hit the next piece of work.
  if (interrupted) PyThreadState_SetAsyncExc(PyThreadState_Get()->thread_id, nullptr);
  completed_.fetch_add(1, std::memory_order_relaxed);
  if (work->cancelled_.load(std::memory_order_acquire)) outcome = CancelledError();
  // GiveUp may have ended it while it was stuck.
  expected = Work::Phase::kRunning;
  if (work->phase_.compare_exchange_strong(expected, Work::Phase::kDone, std::memory_order_acq_rel)) {
    work->Done(std::move(outcome));
  }
}

int InterpreterWorker::OnPendingCall(void* argument) {
  auto* self = static_cast<InterpreterWorker*>(argument);
  PyThreadState* current = PyThreadState_Get();
  const bool on_own_thread = current == self->interpreter_->thread_state();
  if (self->stacks_wanted_.load(std::memory_order_relaxed)) self->AnswerStackRequests();
  if (!self->link_->RunErrands()) return -1;
  if (!self->interruptible_ || !self->interrupt_requested_.exchange(false)) return 0;
  if (on_own_thread) {
    PyErr_SetNone(PyExc_KeyboardInterrupt);
    return -1;
  }
  // Another thread of the interpreter came by first; the one meant raises at its next safe point, or out of its wait.
  PyThreadState* own = self->interpreter_->thread_state();
  self->interrupt_passed_on_ = true;
  PyThreadState_SetAsyncExc(own->thread_id, PyExc_KeyboardInterrupt);
  syscall(SYS_tgkill, getpid(), own->native_thread_id, PythonRuntime::interrupt_signal());
  return 0;
}

void InterpreterWorker::AnswerStackRequests() {
  std::vector<std::shared_ptr<StackRequest>> requests;
  {
    std::lock_guard lock(mu_);
    stacks_wanted_ = false;
    requests.swap(stack_requests_);
  }
  for (auto& request : requests) request->Answer(executor_->Stacks());
}

void InterpreterWorker::EndInterpreter() {
  {
    std::lock_guard lock(mu_);
    ending_ = true;
  }
  // Requests that come from now on are answered by their time-out.
  executor_->RunAtExit();
  EndThreads();
  executor_.reset();
  link_->BeginEnd();
  {
    std::lock_guard lock(mu_);
    ending_ = false;
    interpreter_state_ = nullptr;
    // Pending calls that are queued run once more while the interpreter ends, and must find nothing to do.
    interrupt_requested_ = false;
    stacks_wanted_ = false;
  }
  interpreter_->End();
  interpreter_.reset();
  link_->Ended();
}

void InterpreterWorker::EndThreads() {
  PyThreadState* own = interpreter_->thread_state();
  absl::Duration pause = absl::Milliseconds(1);
  while (true) {
    // The list cannot shrink while this thread is attached: a thread state is unlinked by its attached thread.
    bool others = false;
    for (PyThreadState* other = PyInterpreterState_ThreadHead(own->interp); other != nullptr;
         other = PyThreadState_Next(other)) {
      if (other == own) continue;
      others = true;
      PyThreadState_SetAsyncExc(other->thread_id, PyExc_SystemExit);
      // Out of blocking waits too.
      syscall(SYS_tgkill, getpid(), other->native_thread_id, PythonRuntime::interrupt_signal());
    }
    if (!others) break;
    link_->interrupt().Raise();
    // CPython tells nobody outside when a thread state goes: look again, ever less often.
    ScopedDetach detached;
    absl::SleepFor(pause);
    pause = std::min(2 * pause, absl::Milliseconds(200));
  }
}

// ---- any thread ---------------------------------------------------------------------------------------------------

InterpreterInfo InterpreterWorker::info() const {
  InterpreterInfo info;
  info.name = name_;
  info.create_time = create_time_;
  info.completed_count = completed_.load(std::memory_order_relaxed);
  std::lock_guard lock(mu_);
  info.state = state_;
  info.pending_count = static_cast<int64_t>(queue_.waiting()) + (running_ ? 1 : 0);
  info.thread_id = native_thread_id_;
  info.cpu_time = thread_.joinable() && native_thread_id_ != 0 ? CpuTime(cpu_clock_) : final_cpu_time_;
  info.memory_bytes = memory_ != nullptr ? memory_->bytes() : 0;
  return info;
}

absl::Status InterpreterWorker::ClosingError() const {
  return channels::MakeError(
      absl::StatusCode::kFailedPrecondition, "INTERPRETER_CLOSING",
      absl::StrCat("interpreter '", channels::IdOf(name_), "' is closing and takes no more work"),
      {{"interpreter", channels::IdOf(name_)}});
}

absl::Status InterpreterWorker::Submit(std::shared_ptr<Work> work) {
  if (const auto* exec = std::get_if<ExecRequest>(&work->request()); exec && exec->source.size() > kMaxSourceBytes) {
    return channels::MakeError(
        absl::StatusCode::kInvalidArgument, "SOURCE_TOO_LARGE",
        absl::StrCat("the source has ", exec->source.size(), " bytes, ", kMaxSourceBytes, " are allowed"),
        {{"bytes", absl::StrCat(exec->source.size())}, {"limit", absl::StrCat(kMaxSourceBytes)}});
  }
  work->submit_time_ = absl::Now();
  switch (queue_.Push(std::move(work))) {
    case WorkQueue::PushResult::kPushed: return absl::OkStatus();
    case WorkQueue::PushResult::kClosed: return ClosingError();
    case WorkQueue::PushResult::kFull: break;
  }
  return channels::MakeError(absl::StatusCode::kResourceExhausted, "QUEUE_FULL",
                             absl::StrCat("interpreter '", channels::IdOf(name_), "' has ", config_.queue_limit,
                                          " pieces of work waiting already; try again later"),
                             {{"interpreter", channels::IdOf(name_)}, {"limit", absl::StrCat(config_.queue_limit)}});
}

void InterpreterWorker::Reap() {
  std::vector<absl::AnyInvocable<void(State) &&>> callbacks;
  std::vector<std::shared_ptr<StackRequest>> requests;
  std::vector<TimerThread::Token> timers;
  std::thread thread;
  const State end = failure_.ok() ? State::kClosed : State::kFailed;
  {
    std::lock_guard lock(mu_);
    final_cpu_time_ = CpuTime(cpu_clock_);
    thread = std::move(thread_);
  }
  thread.join();
  output_->Close();
  DropWaitingWork();
  {
    std::lock_guard lock(mu_);
    state_ = end;
    callbacks.swap(close_callbacks_);
    requests.swap(stack_requests_);
    timers.swap(close_timers_);
  }
  // What they hold would keep pages from going back to the system.
  for (const TimerThread::Token& token : timers) host_->timers.Cancel(token);
  // After the state: who reads the log to its end must see that this is the end.
  output_->TellListeners();
  observer_.ended(end);
  // A failure is told when nothing is left of it, its name included.
  if (!failure_.ok()) TellMade(failure_);
  for (auto& callback : callbacks) std::move(callback)(end);
  for (auto& request : requests) request->Answer("(the interpreter has ended)\n");
}

LogChunk InterpreterWorker::ReadLog(uint64_t* cursor, size_t max_bytes) { return output_->ReadLog(cursor, max_bytes); }

int64_t InterpreterWorker::ListenToLog(absl::AnyInvocable<void()> listener) {
  return output_->Listen(std::move(listener));
}

void InterpreterWorker::StopListening(int64_t id) { output_->StopListening(id); }

void InterpreterWorker::DumpStacks(absl::AnyInvocable<void(std::string) &&> done) {
  auto request = std::make_shared<StackRequest>();
  request->done = std::move(done);
  {
    std::lock_guard lock(mu_);
    if (interpreter_state_ != nullptr) {
      stack_requests_.push_back(request);
      stacks_wanted_ = true;
      Kick();
    }
  }
  queue_.event().NotifyAll();
  host_->timers.Schedule(absl::Now() + kStackTimeout, [request] {
    request->Answer("(no answer: it is blocked in C code, is being made or has ended)\n");
  });
}

}  // namespace interpd::interp
