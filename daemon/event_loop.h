// EventLoop: where the daemon's RPCs live. One completion queue, one thread that polls it, one that stands in for it
// while it sleeps, and the way back from interpreters' threads.
//
// Who includes this: the server, and every RPC.
//
// Events are what gRPC has completed (Tag) and what other threads have posted (Task). They are handled one at a time
// under one mutex, so RPC objects need no locks of their own; handlers must not block.
//
// The poller polls for a short while after each event and takes posted tasks between polls, so that a finished call
// costs its interpreter one exchange on a list and no system call. When nothing comes, the poller sleeps inside gRPC,
// where only gRPC can wake it; posted tasks then wake the stand-in through a futex.
//
// Thread safety: Post may be called from any thread, interpreters' threads included: it is lock-free, takes no memory
// (the Task form), touches no file descriptor and no gRPC. Run may be called from any thread but an interpreter's and
// outside handlers. All else belongs to handlers.
#ifndef INTERPD_DAEMON_EVENT_LOOP_H_
#define INTERPD_DAEMON_EVENT_LOOP_H_

#include <grpcpp/server_builder.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"

namespace interpd::daemon {

class EventLoop {
 public:
  // What gRPC gets as a tag: pass `static_cast<Tag*>(this)`.
  class Tag {
   public:
    virtual void Complete(bool ok) = 0;

   protected:
    ~Tag() = default;
  };

  // Something to be run by the loop. May be posted again once its Run has begun. Its owner keeps it alive until then.
  class Task {
   public:
    virtual void Run() = 0;

   protected:
    ~Task() = default;

   private:
    friend class EventLoop;
    Task* next_ = nullptr;
  };

  explicit EventLoop(std::unique_ptr<grpc::ServerCompletionQueue> queue);
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;
  // Requires: never started, or stopped.
  ~EventLoop();

  // Requires: the server has been started.
  void Start();

  // Runs what is left and joins the threads. Requires: the server is shut down, and no interpreter has work that may
  // still post.
  void Stop();

  void Post(Task* task) noexcept;
  // The same with a function: takes memory, for what happens rarely.
  void Post(absl::AnyInvocable<void() &&> function);

  // Runs `task` when the present batch of events has been handled: what it does once then covers them all.
  void Defer(Task* task);

  // Runs `function` as an event, on the caller's thread.
  void Run(absl::FunctionRef<void()> function);

  grpc::ServerCompletionQueue* queue() { return queue_.get(); }

 private:
  // Who looks at the list of posted tasks.
  enum Watch : uint32_t {
    kPollerWatches,   // the poller: posting needs no wake-up
    kNobodyWatches,   // the poller sleeps in gRPC and the stand-in on the futex: the next to post wakes the stand-in
    kStandInWatches,  // the stand-in has been woken and will look again before it sleeps
  };

  void Poll();
  void StandIn();

  // Require: mutex_ held.
  void RunPosted();
  void RunDeferred();

  std::unique_ptr<grpc::ServerCompletionQueue> queue_;

  // Where interpreters' threads write; nothing else shares its cache line.
  alignas(64) std::atomic<Task*> posted_{nullptr};  // newest first
  alignas(64) std::atomic<uint32_t> watch_{kNobodyWatches};
  std::atomic<bool> stopping_{false};

  alignas(64) std::mutex mutex_;
  Task* deferred_ = nullptr;  // newest first; guarded by mutex_

  std::thread poller_;
  std::thread stand_in_;
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_EVENT_LOOP_H_
