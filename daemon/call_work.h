// CallWork: one function call on its way through an interpreter, for a unary call or an item of a call stream.
#ifndef INTERPD_DAEMON_CALL_WORK_H_
#define INTERPD_DAEMON_CALL_WORK_H_

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "daemon/event_loop.h"
#include "daemon/server_state.h"
#include "interp/work.h"
#include "interpd/v1/interpreters.pb.h"

namespace interpd::daemon {

// Output and Done fill the answer on the interpreter's thread, so that the poller moves bytes and nothing more; then
// the owner hears of it in the event loop.
class CallWork : public interp::Work, public EventLoop::Task {
 public:
  class Owner {
   public:
    // Runs in the event loop, once, after which the CallWork may go.
    virtual void CallEnded(CallWork& work) = 0;

   protected:
    ~Owner() = default;
  };

  // `owner` must live until CallEnded.
  CallWork(interp::CallRequest request, EventLoop& loop, ChannelNames& names, Owner* owner, int64_t max_message_bytes)
      : Work(std::move(request)), loop_(loop), names_(names), owner_(owner), max_message_bytes_(max_message_bytes) {}

  // Once ended: OK and response(), or why there is none.
  const absl::Status& status() const { return status_; }
  v1::CallResponse& response() { return response_; }
  size_t response_bytes() const { return response_bytes_; }

  bool Output(interp::Stream stream, std::string_view data) final;
  void Done(absl::StatusOr<interp::Result> result) final;
  void Run() final { owner_->CallEnded(*this); }

 private:
  absl::Status Encode(absl::StatusOr<interp::Result> result);

  EventLoop& loop_;
  ChannelNames& names_;
  Owner* const owner_;
  const int64_t max_message_bytes_;
  std::mutex output_mutex_;  // stdout and stderr may come from two threads of the host
  v1::CallResponse response_;
  size_t response_bytes_ = 0;
  absl::Status status_;
};

// Errors: INVALID_FIELD (target), INVALID_VALUE.
absl::StatusOr<interp::CallRequest> DecodeCall(const v1::CallRequest& call, ChannelNames& names);

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_CALL_WORK_H_
