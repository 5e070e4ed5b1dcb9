// Inbox: how other threads tell the engine of jobs that something has happened.
//
// Who includes this: the engine, which takes what is there, and what runs on interpreters' threads. Thread safety: all
// but Take and Wait, any thread; those, the engine's. Nothing here touches a file descriptor.
#ifndef INTERPD_DAEMON_JOBS_INBOX_H_
#define INTERPD_DAEMON_JOBS_INBOX_H_

#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace interpd::daemon {

class TaskWork;

class Inbox {
 public:
  using Command = absl::AnyInvocable<void() &&>;

  struct Contents {
    std::vector<std::shared_ptr<TaskWork>> logs;   // have written something
    std::vector<std::shared_ptr<TaskWork>> ended;  // in the order of their ends
    std::vector<Command> commands;                 // to run on the engine's thread
  };

  void HasLogs(std::shared_ptr<TaskWork> work) { Add(&Contents::logs, std::move(work)); }
  void HasEnded(std::shared_ptr<TaskWork> work) { Add(&Contents::ended, std::move(work)); }
  void Submit(Command command) { Add(&Contents::commands, std::move(command)); }

  Contents Take() {
    absl::MutexLock lock(mutex_);
    return std::exchange(contents_, {});
  }

  // Until there is something, or the time has come.
  void Wait(absl::Time until) {
    absl::MutexLock lock(mutex_);
    waiting_ = true;
    while (IsEmpty() && !arrived_.WaitWithDeadline(&mutex_, until)) {
    }
    waiting_ = false;
  }

 private:
  template <typename Item>
  void Add(std::vector<Item> Contents::* list, Item item) {
    absl::MutexLock lock(mutex_);
    (contents_.*list).push_back(std::move(item));
    if (waiting_) arrived_.Signal();
  }

  bool IsEmpty() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return contents_.logs.empty() && contents_.ended.empty() && contents_.commands.empty();
  }

  absl::Mutex mutex_;
  absl::CondVar arrived_;
  Contents contents_ ABSL_GUARDED_BY(mutex_);
  bool waiting_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_JOBS_INBOX_H_
