// TimerThread: runs short functions at given times, on one thread of the host with the process's own fd table.
//
// Who includes this: interpreter_worker, for deadlines and for what its own thread must not do.
// Thread safety: all methods, any thread.
#ifndef INTERPD_INTERP_TIMER_THREAD_H_
#define INTERPD_INTERP_TIMER_THREAD_H_

#include <map>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace interpd::interp {

class TimerThread {
 public:
  TimerThread();
  // Drops what has not run.
  ~TimerThread();

  // `function` must not block. Functions of one time run in the order of their scheduling.
  void Schedule(absl::Time when, absl::AnyInvocable<void() &&> function);
  void Run(absl::AnyInvocable<void() &&> function) { Schedule(absl::InfinitePast(), std::move(function)); }

 private:
  void Loop();

  absl::Mutex mu_;
  bool stop_ ABSL_GUARDED_BY(mu_) = false;
  std::multimap<absl::Time, absl::AnyInvocable<void() &&>> queue_ ABSL_GUARDED_BY(mu_);
  std::thread thread_;
};

}  // namespace interpd::interp

#endif  // INTERPD_INTERP_TIMER_THREAD_H_
