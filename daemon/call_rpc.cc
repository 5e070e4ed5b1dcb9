#include "daemon/call_rpc.h"

#include <utility>

#include "daemon/interpreter_proto.h"

namespace interpd::daemon {

void CallRpc::Listen(void* tag) {
  service_.RequestCall(&context_, &request_bytes_, &responder_, state_.loop.queue(), state_.loop.queue(), tag);
}

void CallRpc::Handle(v1::CallRequest& request) {
  absl::Status submitted = Submit(request);
  if (!submitted.ok()) return Fail(submitted);
}

absl::Status CallRpc::Submit(v1::CallRequest& request) {
  if (state_.draining) return ServerDraining();
  absl::StatusOr<std::string> id = ParseName(principal(), request.name());
  if (!id.ok()) return id.status();
  absl::StatusOr<std::shared_ptr<interp::Interpreter>> interpreter = state_.registry.Get(*id);
  if (!interpreter.ok()) return interpreter.status();
  absl::StatusOr<interp::CallRequest> call = DecodeCall(request, channel_names());
  if (!call.ok()) return call.status();
  auto work = std::make_shared<CallWork>(*std::move(call), state_.loop, channel_names(), this, max_message_bytes());
  absl::Status submitted = (*interpreter)->Submit(work);
  if (!submitted.ok()) return submitted;
  interpreter_ = *std::move(interpreter);
  work_ = std::move(work);
  Ref();  // until CallEnded
  return absl::OkStatus();
}

void CallRpc::OnCancelled() {
  if (work_ != nullptr) interpreter_->Cancel(work_);
}

void CallRpc::CallEnded(CallWork& work) {
  state_.queue_room.WorkEnded(*interpreter_);
  if (cancelled()) {
    Fail(CancelledByClient());
  } else if (work.status().ok()) {
    Reply(work.response());
  } else {
    Fail(work.status());
  }
  work_.reset();
  interpreter_.reset();
  Unref();
}

}  // namespace interpd::daemon
