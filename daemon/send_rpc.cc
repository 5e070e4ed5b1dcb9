#include "daemon/send_rpc.h"

#include <chrono>
#include <utility>

#include "daemon/channel_proto.h"
#include "daemon/proto_time.h"
#include "daemon/value_proto.h"

namespace interpd::daemon {

void SendRpc::Listen(void* tag) {
  service_.RequestSend(&context_, &request_bytes_, &responder_, state_.loop.queue(), state_.loop.queue(), tag);
}

void SendRpc::Handle(v1::SendRequest& request) {
  absl::Status sent = Send(request);
  if (!sent.ok()) return Fail(sent);
  if (!waiting_) Reply(v1::SendResponse());
}

absl::Status SendRpc::Send(const v1::SendRequest& request) {
  if (state_.draining) return ServerDraining();
  absl::Duration timeout = absl::InfiniteDuration();
  if (request.has_timeout()) {
    absl::StatusOr<absl::Duration> asked = DecodeGracePeriod(request.timeout(), "timeout");
    if (!asked.ok()) return asked.status();
    timeout = *asked;
  }
  absl::Status attached = sender_.Attach(channel_names(), request.name(), "name");
  if (!attached.ok()) return attached;
  absl::StatusOr<channels::Value> value = DecodeValue(request.value(), "value", channel_names());
  if (!value.ok()) return value.status();
  absl::Status taken = sender_.Take(*std::move(value));
  if (!taken.ok() || !sender_.waiting()) return taken;
  if (timeout == absl::ZeroDuration()) {
    sender_.Drop();
    return ChannelFull(request.name(), sender_.channel()->capacity());
  }
  name_ = request.name();
  waiting_ = true;
  Ref();  // until End
  state_.open_streams.insert(this);
  if (timeout != absl::InfiniteDuration()) {
    alarm_.Set(state_.loop.queue(), absl::ToChronoTime(absl::Now() + timeout), timed_out_.Begin());
  }
  return absl::OkStatus();
}

void SendRpc::TimedOut(bool ok) {
  if (ok) End(ChannelFull(name_, sender_.channel()->capacity()));
}

void SendRpc::End(const absl::Status& status) {
  if (!std::exchange(waiting_, false)) return;
  alarm_.Cancel();
  sender_.Drop();
  if (status.ok()) {
    Reply(v1::SendResponse());
  } else {
    Fail(status);
  }
  Unref();
}

void SendManyRpc::Listen(void* tag) {
  service_.RequestSendMany(&context_, &stream_, state_.loop.queue(), state_.loop.queue(), tag);
}

void SendManyRpc::OnAccepted() {
  if (state_.draining) return Fail(ServerDraining());
  state_.open_streams.insert(this);
  Read();
}

void SendManyRpc::OnRead(bool ok) {
  if (finished()) return;
  if (!ok) {
    read_all_ = true;
    return Advance(sender_.attached() ? absl::OkStatus() : InvalidField("name", "is missing: there was no message"));
  }
  v1::SendManyRequest request;
  const size_t bytes = request_bytes_.Length();
  absl::Status taken = Parse(request_bytes_, &request);
  if (taken.ok()) taken = Take(request, bytes);
  Advance(taken);
}

absl::Status SendManyRpc::Take(const v1::SendManyRequest& request, size_t bytes) {
  if (!sender_.attached()) {
    absl::Status attached = sender_.Attach(channel_names(), request.name(), "name");
    if (!attached.ok()) return attached;
  } else if (!request.name().empty()) {
    return InvalidField("name", "may be set in the first message only");
  }
  return sender_.Take(request.values(), bytes);
}

void SendManyRpc::Advance(const absl::Status& status) {
  if (finished()) return;
  if (!status.ok()) {
    sender_.Drop();
    return Fail(status);
  }
  if (sender_.waiting()) return;
  if (!read_all_) {
    if (!reading()) Read();
    return;
  }
  v1::SendManyResponse response;
  response.set_sent_count(sender_.sent_count());
  Reply(response);
}

}  // namespace interpd::daemon
