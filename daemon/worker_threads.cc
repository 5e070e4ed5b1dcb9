#include "daemon/worker_threads.h"

#include <system_error>
#include <utility>

#include "absl/log/check.h"
#include "absl/log/log.h"

namespace interpd::daemon {

WorkerThreads::WorkerThreads(size_t max_threads) : max_threads_(max_threads) {
  absl::MutexLock lock(mutex_);
  threads_.emplace_back([this] { Run(); });
}

void WorkerThreads::Submit(absl::AnyInvocable<void() &&> job) {
  absl::MutexLock lock(mutex_);
  CHECK(!stopping_) << "work for threads that have stopped";
  jobs_.push_back(std::move(job));
  if (jobs_.size() <= idle_ || threads_.size() >= max_threads_) return;
  try {  // that is how it says that there are no more threads
    threads_.emplace_back([this] { Run(); });
  } catch (const std::system_error& error) {
    // One that there is takes the job when it comes to it.
    LOG(WARNING) << "no further thread can be had: " << error.what();
  }
}

void WorkerThreads::Stop() {
  std::vector<std::thread> threads;
  {
    absl::MutexLock lock(mutex_);
    stopping_ = true;
    threads.swap(threads_);
  }
  for (std::thread& thread : threads) thread.join();
}

void WorkerThreads::Run() {
  absl::MutexLock lock(mutex_);
  for (;;) {
    ++idle_;
    mutex_.Await(absl::Condition(
        +[](WorkerThreads* self)
             ABSL_EXCLUSIVE_LOCKS_REQUIRED(self->mutex_) { return self->stopping_ || !self->jobs_.empty(); },
        this));
    --idle_;
    if (jobs_.empty()) return;  // stopping
    absl::AnyInvocable<void() &&> job = std::move(jobs_.front());
    jobs_.pop_front();
    mutex_.unlock();
    std::move(job)();
    job = nullptr;  // what it holds goes without the lock
    mutex_.lock();
  }
}

}  // namespace interpd::daemon
