// QueueRoom: lets a call stream wait until an interpreter whose queue was full has room again.
//
// Who includes this: the call stream, which waits, and all that submit work, which tell of its end. Every piece of
// work comes through this server, so the end of one is when a queue gets room: nothing is ever polled.
// Thread safety: belongs to handlers of the event loop.
#ifndef INTERPD_DAEMON_QUEUE_ROOM_H_
#define INTERPD_DAEMON_QUEUE_ROOM_H_

#include <deque>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "daemon/event_loop.h"
#include "interp/interpreter.h"

namespace interpd::daemon {

class QueueRoom final : private EventLoop::Task {
 public:
  class Waiter {
   public:
    // Submits what waits. Returns whether the queue is full again, and so whether to go on waiting.
    virtual bool SubmitMore(const interp::Interpreter& interpreter) = 0;

   protected:
    ~Waiter() = default;
  };

  explicit QueueRoom(EventLoop& loop) : loop_(loop) {}

  // Requires: Submit has just answered QUEUE_FULL, so that some work's end is still to come; and the waiter keeps the
  // interpreter until it has been asked to SubmitMore for the last time, or calls Forget.
  void Wait(const interp::Interpreter& interpreter, Waiter* waiter) { waiters_[&interpreter].push_back(waiter); }

  void Forget(Waiter* waiter) {
    absl::erase_if(waiters_, [waiter](auto& entry) {
      std::erase(entry.second, waiter);
      return entry.second.empty();
    });
  }

  // A piece of work of that interpreter has ended. The waiters are asked once for all that has ended in a batch of
  // events, since to be refused costs more than to be accepted.
  void WorkEnded(const interp::Interpreter& interpreter) {
    if (waiters_.empty() || !waiters_.contains(&interpreter)) return;
    have_room_.insert(&interpreter);
    if (std::exchange(scheduled_, true)) return;
    loop_.Defer(this);
  }

 private:
  void Run() override {
    scheduled_ = false;
    for (const interp::Interpreter* interpreter : std::exchange(have_room_, {})) {
      auto found = waiters_.find(interpreter);
      if (found == waiters_.end()) continue;
      // Those that have waited longest first; each takes what room there is.
      std::deque<Waiter*>& queue = found->second;
      while (!queue.empty() && !queue.front()->SubmitMore(*interpreter)) queue.pop_front();
      if (queue.empty()) waiters_.erase(found);
    }
  }

  EventLoop& loop_;
  bool scheduled_ = false;
  absl::flat_hash_map<const interp::Interpreter*, std::deque<Waiter*>> waiters_;
  absl::flat_hash_set<const interp::Interpreter*> have_room_;
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_QUEUE_ROOM_H_
