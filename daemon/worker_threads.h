// WorkerThreads: a few threads for work of the daemon's own that takes long and may block on files.
//
// Who includes this: the server, and RPCs whose work is not for the event loop.
//
// The first thread is started with the pool, so that what is submitted is done even if no thread can be had later; the
// others when there is work for them. They are not interpreters' threads: they may touch the daemon's files.
//
// Thread safety: Submit, any thread; Stop once, by the owner, as the destructor.
#ifndef INTERPD_DAEMON_WORKER_THREADS_H_
#define INTERPD_DAEMON_WORKER_THREADS_H_

#include <cstddef>
#include <deque>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"

namespace interpd::daemon {

class WorkerThreads {
 public:
  explicit WorkerThreads(size_t max_threads);
  WorkerThreads(const WorkerThreads&) = delete;
  WorkerThreads& operator=(const WorkerThreads&) = delete;
  ~WorkerThreads() { Stop(); }

  // First come, first served, on as many threads as there are. Requires: not stopped.
  void Submit(absl::AnyInvocable<void() &&> job);

  // Runs what is left and joins the threads.
  void Stop();

 private:
  void Run();

  const size_t max_threads_;
  absl::Mutex mutex_;
  std::deque<absl::AnyInvocable<void() &&>> jobs_ ABSL_GUARDED_BY(mutex_);
  size_t idle_ ABSL_GUARDED_BY(mutex_) = 0;  // threads that wait for a job
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_WORKER_THREADS_H_
