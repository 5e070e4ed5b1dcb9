#include "interp/timer_thread.h"

#include <pthread.h>

#include <utility>

#include "absl/time/clock.h"

namespace interpd::interp {

TimerThread::TimerThread() : thread_([this] { Loop(); }) {}

TimerThread::~TimerThread() {
  {
    absl::MutexLock lock(mu_);
    stop_ = true;
  }
  thread_.join();
}

TimerThread::Token TimerThread::Schedule(absl::Time when, absl::AnyInvocable<void() &&> function) {
  absl::MutexLock lock(mu_);
  Token token(when, next_++);
  queue_.emplace(token, std::move(function));
  return token;
}

void TimerThread::Cancel(const Token& token) {
  absl::AnyInvocable<void() &&> dropped;  // what it holds is let go without the lock
  absl::MutexLock lock(mu_);
  auto found = queue_.find(token);
  if (found == queue_.end()) return;
  dropped = std::move(found->second);
  queue_.erase(found);
}

void TimerThread::Loop() {
  pthread_setname_np(pthread_self(), "interpd-timer");
  absl::MutexLock lock(mu_);
  while (true) {
    absl::Time next = queue_.empty() ? absl::InfiniteFuture() : queue_.begin()->first.first;
    auto earlier = [this, next]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
      return stop_ || (!queue_.empty() && queue_.begin()->first.first < next);
    };
    if (next > absl::Now() && mu_.AwaitWithDeadline(absl::Condition(&earlier), next)) {
      if (stop_) return;
      continue;
    }
    if (stop_) return;
    if (queue_.empty()) continue;
    absl::AnyInvocable<void() &&> function = std::move(queue_.begin()->second);
    queue_.erase(queue_.begin());
    mu_.unlock();
    std::move(function)();
    mu_.lock();
  }
}

}  // namespace interpd::interp
