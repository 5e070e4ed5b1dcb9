// The part of InterpreterWorker that ends things from outside: cancels and interrupts work, closes the interpreter, and
// gives it up when it does not end.
#include <pthread.h>

#include <algorithm>
#include <csignal>
#include <utility>

#include "absl/time/clock.h"
#include "channels/error.h"
#include "interp/interpreter_worker.h"
#include "interp/python_runtime.h"

namespace interpd::interp {
namespace {

// How soon and how often code that goes on after an interrupt is interrupted again.
constexpr absl::Duration kFirstPause = absl::Milliseconds(20);
constexpr absl::Duration kLongestPause = absl::Seconds(1);

}  // namespace

absl::Status InterpreterWorker::CancelledError() {
  return channels::MakeError(absl::StatusCode::kCancelled, "CANCELLED_BY_CLIENT", "the work was cancelled");
}

void InterpreterWorker::Cancel(const std::shared_ptr<Work>& work) {
  // What is cancelled while it waits makes room at once but stays linked; so that nobody can pile that up behind work
  // that runs for long, there is a bound to it, past which it ends when its turn comes.
  if (cancelled_in_queue_.fetch_add(1, std::memory_order_relaxed) < queue_.limit() &&
      EndWaiting(work, CancelledError())) {
    return;
  }
  cancelled_in_queue_.fetch_sub(1, std::memory_order_relaxed);
  // seq_cst, both: see RunWork.
  work->cancelled_.store(true, std::memory_order_seq_cst);
  if (work->phase_.load(std::memory_order_seq_cst) != Work::Phase::kRunning) return;
  {
    std::lock_guard lock(mu_);
    if (running_ != work) return;  // at its very end, or not yet at its beginning: RunWork sees cancelled_
  }
  output_->Discard(work.get());
  KeepInterrupting(work, kFirstPause);
}

bool InterpreterWorker::Interrupt() {
  std::shared_ptr<Work> running;
  {
    std::lock_guard lock(mu_);
    if (!running_) return false;
    interrupt_requested_ = true;
    Kick();
    running = running_;
  }
  KickUntilSeen(std::move(running), kFirstPause);
  return true;
}

void InterpreterWorker::KickUntilSeen(std::shared_ptr<Work> work, absl::Duration pause) {
  host_->timers.Schedule(absl::Now() + pause, [self = shared_from_this(), work = std::move(work), pause]() mutable {
    {
      std::lock_guard lock(self->mu_);
      if (self->running_ != work) return;
      // Whether what was passed on has been raised, nobody tells; but only so many signals can be lost.
      const bool passed_on = self->interrupt_passed_on_ && pause < kLongestPause;
      if (!self->interrupt_requested_ && !passed_on) return;
      self->Kick();
    }
    self->KickUntilSeen(std::move(work), std::min(2 * pause, kLongestPause));
  });
}

void InterpreterWorker::Kick() {
  if (interpreter_state_ == nullptr) return;
  _PyEval_AddPendingCall(interpreter_state_, &OnPendingCall, this, 0);
  link_->interrupt().Raise();
  // The interpreter lives, so its thread does.
  pthread_kill(thread_.native_handle(), PythonRuntime::interrupt_signal());
}

void InterpreterWorker::KeepInterrupting(std::shared_ptr<Work> work, absl::Duration pause) {
  {
    std::lock_guard lock(mu_);
    const bool matters = work ? running_ == work : (running_ != nullptr || ending_);
    if (!matters) return;
    interrupt_requested_ = true;
    Kick();
  }
  host_->timers.Schedule(absl::Now() + pause, [self = shared_from_this(), work = std::move(work), pause]() mutable {
    self->KeepInterrupting(std::move(work), std::min(2 * pause, kLongestPause));
  });
}

void InterpreterWorker::ResumeOutput() { output_->Resume(); }

void InterpreterWorker::DropWaitingWork() {
  for (const std::shared_ptr<Work>& work : queue_.Close()) EndWaiting(work, ClosingError());
}

bool InterpreterWorker::EndWaiting(const std::shared_ptr<Work>& work, absl::Status status) {
  auto expected = Work::Phase::kQueued;
  if (!work->phase_.compare_exchange_strong(expected, Work::Phase::kDone, std::memory_order_acq_rel)) return false;
  queue_.Leave();  // before its end is told, which may bring more work
  work->Done(std::move(status));
  return true;
}

void InterpreterWorker::Close(absl::Duration grace, absl::AnyInvocable<void(State) &&> done) {
  absl::Time deadline = absl::Now() + grace;
  {
    std::unique_lock lock(mu_);
    if (state_ == State::kClosed || state_ == State::kFailed || state_ == State::kStuck) {
      State state = state_;
      lock.unlock();
      std::move(done)(state);
      return;
    }
    close_callbacks_.push_back(std::move(done));
    state_ = State::kClosing;
    closing_ = true;
    if (deadline >= close_deadline_) return;
    close_deadline_ = deadline;
  }
  DropWaitingWork();
  TimerThread& timers = host_->timers;
  const TimerThread::Token tokens[] = {
      timers.Schedule(deadline, [self = shared_from_this()] { self->EnforceClose(); }),
      timers.Schedule(deadline + kStuckAfter / 2, [self = shared_from_this()] { self->DropOutput(); }),
      timers.Schedule(deadline + kStuckAfter, [self = shared_from_this()] { self->GiveUp(); }),
  };
  std::lock_guard lock(mu_);
  close_timers_.insert(close_timers_.end(), std::begin(tokens), std::end(tokens));
}

void InterpreterWorker::EnforceClose() {
  {
    std::lock_guard lock(mu_);
    if (state_ != State::kClosing) return;
  }
  KeepInterrupting(nullptr, kFirstPause);
}

void InterpreterWorker::DropOutput() {
  std::shared_ptr<Work> running;
  {
    std::lock_guard lock(mu_);
    if (state_ != State::kClosing) return;
    running = running_;
  }
  if (running) output_->Discard(running.get());
}

void InterpreterWorker::GiveUp() {
  std::shared_ptr<Work> running;
  std::vector<absl::AnyInvocable<void(State) &&>> callbacks;
  {
    std::lock_guard lock(mu_);
    if (state_ != State::kClosing) return;
    state_ = State::kStuck;
    running = running_;
    callbacks.swap(close_callbacks_);
  }
  if (running) {
    output_->Discard(running.get());
    auto expected = Work::Phase::kRunning;
    if (running->phase_.compare_exchange_strong(expected, Work::Phase::kDone, std::memory_order_acq_rel)) {
      running->Done(ClosingError());
    }
  }
  output_->TellListeners();
  observer_.ended(State::kStuck);
  for (auto& callback : callbacks) std::move(callback)(State::kStuck);
}

}  // namespace interpd::interp
