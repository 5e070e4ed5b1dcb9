// ExecWork: source code on its way through an interpreter, and what it writes on its way to the client.
//
// Thread safety: Output and Done run on threads of the host; all else in the event loop.
#ifndef INTERPD_DAEMON_EXEC_WORK_H_
#define INTERPD_DAEMON_EXEC_WORK_H_

#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "daemon/event_loop.h"
#include "interp/work.h"
#include "interpd/v1/interpreters.pb.h"

namespace interpd::daemon {

class ExecWork final : public interp::Work, public EventLoop::Task {
 public:
  class Owner {
   public:
    // There is output to take, or the end: then work.ended() holds, and this is the last time. Runs in the event
    // loop.
    virtual void ExecMoved(ExecWork& work) = 0;

   protected:
    ~Owner() = default;
  };

  // `owner` must live until it has been told of the end.
  ExecWork(interp::ExecRequest request, EventLoop& loop, Owner* owner)
      : Work(std::move(request)), loop_(loop), owner_(owner) {}

  bool Output(interp::Stream stream, std::string_view data) override;
  void Done(absl::StatusOr<interp::Result> result) override;
  void Run() override;

  // Output for the next message, in order; none when there is none by now.
  std::optional<v1::Output> TakeOutput();

  // So many bytes of output have reached the client's side. Returns whether the interpreter is to be told to go on
  // (Interpreter::ResumeOutput).
  bool Sent(size_t bytes);

  // Nobody reads the output any more: drops it from now on. Returns as Sent does.
  bool DropOutput();

  // Whether the owner has heard of the end.
  bool ended() const { return ended_; }
  // Requires: ended().
  const absl::StatusOr<v1::ExecResult>& result() const { return *result_; }

 private:
  struct Chunk {
    interp::Stream stream;
    std::string data;
  };

  // Requires: mutex_ held. Has Run called, unless it is about to be called anyhow.
  void Notify();

  EventLoop& loop_;
  Owner* const owner_;

  std::mutex mutex_;  // held for copying bytes, no longer
  std::deque<Chunk> chunks_;
  size_t unsent_ = 0;  // bytes in chunks_ and on their way to the client
  bool full_ = false;  // Output has said no
  bool dropping_ = false;
  bool notified_ = false;
  std::optional<absl::StatusOr<v1::ExecResult>> result_;  // written once, before the last notification

  bool ended_ = false;  // the event loop's
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_EXEC_WORK_H_
