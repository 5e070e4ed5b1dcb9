// Channels.Receive and Channels.Attach: values over a stream, one way or both.
#ifndef INTERPD_DAEMON_CHANNEL_STREAM_RPC_H_
#define INTERPD_DAEMON_CHANNEL_STREAM_RPC_H_

#include <cstdint>
#include <type_traits>

#include "daemon/channel_receiver.h"
#include "daemon/channel_sender.h"
#include "daemon/raw_services.h"
#include "daemon/rpc.h"

namespace interpd::daemon {

// The two differ in their messages alone: Receive has no sending half.
template <typename Request, typename Response>
class ChannelStreamRpc final : public BidiRpc<Response>, private EventLoop::Task {
 public:
  ChannelStreamRpc(ServerState& state, RawChannels& service)
      : BidiRpc<Response>(state, Rule()),
        service_(service),
        sender_(state, [this] { Schedule(); }),
        receiver_(state, [this] { Schedule(); }) {}

 private:
  static constexpr bool kSends = std::is_same_v<Request, v1::AttachRequest>;

  static const AccessRule& Rule() {
    return kSends ? RuleOf("interpd.v1.Channels/Attach") : RuleOf("interpd.v1.Channels/Receive");
  }
  void Listen(void* tag) override;
  Rpc* Another() const override { return new ChannelStreamRpc(this->state_, service_); }
  void OnAccepted() override;
  void OnRead(bool ok) override;
  void OnWritten(bool ok) override;
  void OnCancelled() override { End(CancelledByClient()); }
  void OnShutdown() override;

  // Does what a message of so many bytes says. An error is the end of the stream.
  absl::Status Take(const Request& request, size_t bytes);
  absl::Status Attach(const Request& request);

  // The stream ends with `status`, now or once the message on its way is written. What is not the client's goes back.
  void End(absl::Status status);

  // Has Run called when the present batch of events is through, so that what it brought goes out in one message.
  void Schedule();
  void Run() override;
  // Writes what there is to say, or ends the stream. Requires: not writing, not finished.
  void Advance();
  // Ends the stream as End has said, after a last word if there is one. Requires: as Advance.
  void EndNow();
  // Whether nothing is left to do.
  bool Over() const;

  RawChannels& service_;
  bool started_ = false;    // the first message was read
  bool read_all_ = false;   // the client says no more
  bool stopped_ = false;    // the client has said `stop`
  bool scheduled_ = false;  // Run will come
  bool ending_ = false;
  bool shutting_down_ = false;
  absl::Status last_status_;  // with which the stream will end

  ChannelSender sender_;
  ChannelReceiver receiver_;
  // What the client knows.
  bool said_attached_ = false;
  bool said_ended_ = false;
  int64_t said_sent_count_ = 0;
};

using ReceiveRpc = ChannelStreamRpc<v1::ReceiveRequest, v1::ReceiveResponse>;
using AttachRpc = ChannelStreamRpc<v1::AttachRequest, v1::AttachResponse>;

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_CHANNEL_STREAM_RPC_H_
