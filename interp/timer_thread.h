// TimerThread: runs short functions at given times, on one thread of the host with the process's own fd table.
//
// Who includes this: interpreter_worker, for deadlines and for what its own thread must not do.
// Thread safety: all methods, any thread.
#ifndef INTERPD_INTERP_TIMER_THREAD_H_
#define INTERPD_INTERP_TIMER_THREAD_H_

#include <cstdint>
#include <map>
#include <thread>
#include <utility>

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

  // Names a function that was scheduled.
  using Token = std::pair<absl::Time, uint64_t>;

  // `function` must not block. Functions of one time run in the order of their scheduling.
  Token Schedule(absl::Time when, absl::AnyInvocable<void() &&> function);
  void Run(absl::AnyInvocable<void() &&> function) { Schedule(absl::InfinitePast(), std::move(function)); }
  // Drops it with all that it holds, unless it has run or runs.
  void Cancel(const Token& token);

 private:
  void Loop();

  absl::Mutex mu_;
  bool stop_ ABSL_GUARDED_BY(mu_) = false;
  uint64_t next_ ABSL_GUARDED_BY(mu_) = 0;
  std::map<Token, absl::AnyInvocable<void() &&>> queue_ ABSL_GUARDED_BY(mu_);
  std::thread thread_;
};

}  // namespace interpd::interp

#endif  // INTERPD_INTERP_TIMER_THREAD_H_
