#include "daemon/channel_stream_rpc.h"

#include <utility>

namespace interpd::daemon {

template <typename Request, typename Response>
void ChannelStreamRpc<Request, Response>::Listen(void* tag) {
  grpc::ServerCompletionQueue* queue = this->state_.loop.queue();
  if constexpr (kSends) {
    service_.RequestAttach(&this->context_, &this->stream_, queue, queue, tag);
  } else {
    service_.RequestReceive(&this->context_, &this->stream_, queue, queue, tag);
  }
}

template <typename Request, typename Response>
void ChannelStreamRpc<Request, Response>::OnAccepted() {
  if (this->state_.draining) return this->Finish(ServerDraining());
  this->state_.open_streams.insert(this);
  this->Read();
}

template <typename Request, typename Response>
void ChannelStreamRpc<Request, Response>::OnRead(bool ok) {
  if (this->finished() || ending_) return;
  if (!ok) {
    read_all_ = true;
    receiver_.ClientEnded();
  } else {
    Request request;
    const size_t bytes = this->request_bytes_.Length();
    absl::Status taken = this->Parse(this->request_bytes_, &request);
    if (taken.ok()) taken = Take(request, bytes);
    if (!taken.ok()) End(std::move(taken));
  }
  Schedule();
}

template <typename Request, typename Response>
absl::Status ChannelStreamRpc<Request, Response>::Take(const Request& request, size_t bytes) {
  if (request.has_options()) {
    if (started_) return InvalidField("options", "may be set in the first message only");
    absl::Status attached = Attach(request);
    if (!attached.ok()) return attached;
  }
  if (!std::exchange(started_, true) && !request.has_options()) {
    return InvalidField("options", "are missing from the first message");
  }
  if (request.credit() != 0 || request.acknowledged_number() != 0) {
    if (!receiver_.attached())
      return InvalidField("options.receive_from", "is not set, so there is nothing to receive");
    absl::Status granted = receiver_.Grant(request.credit());
    if (!granted.ok()) return granted;
    absl::Status settled = receiver_.Settle(request.acknowledged_number());
    if (!settled.ok()) return settled;
  }
  if (request.stop()) {
    stopped_ = true;
    receiver_.Stop();
    sender_.Drop();
  }
  if constexpr (kSends) {
    if (request.values().runs().empty()) return absl::OkStatus();
    if (!sender_.attached()) return InvalidField("options.send_to", "is not set, so nothing can be sent");
    if (stopped_) return InvalidField("values", "come after `stop`");
    return sender_.Take(request.values(), bytes);
  }
  return absl::OkStatus();
}

template <typename Request, typename Response>
absl::Status ChannelStreamRpc<Request, Response>::Attach(const Request& request) {
  const Acknowledge acknowledge = request.options().acknowledge() ? Acknowledge::kYes : Acknowledge::kNo;
  const v1::Subscription* subscription =
      request.options().has_subscription() ? &request.options().subscription() : nullptr;
  if constexpr (kSends) {
    const v1::AttachRequest::Options& options = request.options();
    if (options.send_to().empty() && options.receive_from().empty()) {
      return InvalidField("options", "name neither a channel to send to nor one to receive from");
    }
    if (!options.send_to().empty()) {
      absl::Status attached = sender_.Attach(this->channel_names(), options.send_to(), "options.send_to");
      if (!attached.ok()) return attached;
    }
    if (options.receive_from().empty()) return absl::OkStatus();
    return receiver_.Attach(this->channel_names(), options.receive_from(), "options.receive_from", acknowledge,
                            subscription, this->max_message_bytes());
  } else {
    return receiver_.Attach(this->channel_names(), request.options().name(), "options.name", acknowledge, subscription,
                            this->max_message_bytes());
  }
}

template <typename Request, typename Response>
void ChannelStreamRpc<Request, Response>::OnWritten(bool ok) {
  if (!ok) End(CancelledByClient());
  Schedule();
}

template <typename Request, typename Response>
void ChannelStreamRpc<Request, Response>::OnShutdown() {
  // What is in the channel by now still goes to a client that has asked for it.
  shutting_down_ = true;
  Schedule();
}

template <typename Request, typename Response>
void ChannelStreamRpc<Request, Response>::End(absl::Status status) {
  if (this->finished() || ending_) return;
  ending_ = true;
  last_status_ = std::move(status);
  sender_.Drop();
  receiver_.GiveBack();
  Schedule();
}

template <typename Request, typename Response>
void ChannelStreamRpc<Request, Response>::Schedule() {
  if (scheduled_) return;
  scheduled_ = true;
  this->Ref();  // until Run
  this->state_.loop.Defer(this);
}

template <typename Request, typename Response>
void ChannelStreamRpc<Request, Response>::Run() {
  scheduled_ = false;
  if (!this->finished() && !this->writing()) Advance();
  // The back-pressure: a client is not read from while many of its values wait for room.
  const bool read_on = !ending_ && !read_all_ && !sender_.full();
  if (!this->finished() && read_on && !this->reading()) this->Read();
  this->Unref();
}

template <typename Request, typename Response>
void ChannelStreamRpc<Request, Response>::Advance() {
  if (!ending_ && !sender_.status().ok()) End(sender_.status());
  if (ending_) return EndNow();
  if (!started_) {
    if (read_all_) End(InvalidField("options", "are missing: there was no message"));
    if (shutting_down_) End(ServerDraining());
    if (ending_) EndNow();
    return;
  }
  Response message;
  bool something = false;
  if (!std::exchange(said_attached_, true)) {
    message.set_attached(true);
    something = true;
  } else if (receiver_.attached() && !receiver_.ended()) {
    absl::StatusOr<bool> filled = receiver_.Fill(message.mutable_values());
    if (!filled.ok()) {
      End(filled.status());
      return EndNow();
    }
    if (*filled) {
      message.set_last_number(receiver_.last_number());
      message.set_dropped_count(receiver_.dropped_count());
      something = true;
    } else {
      message.clear_values();
    }
  }
  if constexpr (kSends) {
    if (sender_.sent_count() != said_sent_count_) {
      said_sent_count_ = sender_.sent_count();
      something = true;
    }
    message.set_sent_count(said_sent_count_);
  }
  if (!something && Over()) {
    End(absl::OkStatus());
    return EndNow();
  }
  if (!something && shutting_down_) {
    End(ServerDraining());
    return EndNow();
  }
  if (receiver_.ended() && !std::exchange(said_ended_, true)) something = true;
  message.set_ended(said_ended_);
  if (something) this->Write(message);
}

template <typename Request, typename Response>
void ChannelStreamRpc<Request, Response>::EndNow() {
  if constexpr (kSends) {
    // The client is told first how far it came.
    if (!absl::IsCancelled(last_status_) && said_sent_count_ != sender_.sent_count()) {
      said_sent_count_ = sender_.sent_count();
      Response message;
      message.set_sent_count(said_sent_count_);
      return this->Write(message);
    }
  }
  this->Finish(last_status_);
}

template <typename Request, typename Response>
bool ChannelStreamRpc<Request, Response>::Over() const {
  const bool all_sent = !sender_.attached() || ((read_all_ || stopped_) && !sender_.waiting());
  const bool all_received = !receiver_.attached() || (receiver_.ended() && receiver_.settled());
  return all_sent && all_received;
}

template class ChannelStreamRpc<v1::ReceiveRequest, v1::ReceiveResponse>;
template class ChannelStreamRpc<v1::AttachRequest, v1::AttachResponse>;

}  // namespace interpd::daemon
