// Inbox: how other threads tell the engine of jobs that something has happened.
//
// Who includes this: the engine, which takes what is there, and what runs on interpreters' threads. Thread safety: all
// but Take and Wait, any thread; those, the engine's. Nothing here touches a file descriptor.
#ifndef INTERPD_DAEMON_JOBS_INBOX_H_
#define INTERPD_DAEMON_JOBS_INBOX_H_

#include <memory>
#include <type_traits>
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
  struct Command {
    absl::AnyInvocable<void() &&> run;     // on the engine's thread
    absl::AnyInvocable<void() &&> refuse;  // instead, on any thread, once the engine has ended; may be null
  };

  struct Contents {
    std::vector<std::shared_ptr<TaskWork>> logs;   // have written something
    std::vector<std::shared_ptr<TaskWork>> ended;  // in the order of their ends
    std::vector<Command> commands;
  };

  void HasLogs(std::shared_ptr<TaskWork> work) { Add(&Contents::logs, std::move(work)); }
  void HasEnded(std::shared_ptr<TaskWork> work) { Add(&Contents::ended, std::move(work)); }
  void Submit(absl::AnyInvocable<void() &&> run, absl::AnyInvocable<void() &&> refuse = nullptr) {
    if (!Add(&Contents::commands, Command{std::move(run), nullptr}, &refuse) && refuse) std::move(refuse)();
  }

  // The engine ends: what is here and what comes is refused.
  void Close() {
    Contents left;
    {
      absl::MutexLock lock(mutex_);
      closed_ = true;
      left = std::exchange(contents_, {});
    }
    for (Command& command : left.commands) {
      if (command.refuse) std::move(command.refuse)();
    }
  }

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
  // Whether it was taken.
  template <typename Item>
  bool Add(std::vector<Item> Contents::* list, Item item, absl::AnyInvocable<void() &&>* refuse = nullptr) {
    absl::MutexLock lock(mutex_);
    if (closed_) return false;
    if constexpr (std::is_same_v<Item, Command>) item.refuse = std::move(*refuse);
    (contents_.*list).push_back(std::move(item));
    if (waiting_) arrived_.Signal();
    return true;
  }

  bool IsEmpty() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return contents_.logs.empty() && contents_.ended.empty() && contents_.commands.empty();
  }

  absl::Mutex mutex_;
  absl::CondVar arrived_;
  Contents contents_ ABSL_GUARDED_BY(mutex_);
  bool waiting_ ABSL_GUARDED_BY(mutex_) = false;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_JOBS_INBOX_H_
