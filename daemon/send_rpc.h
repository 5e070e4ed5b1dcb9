// Channels.Send and Channels.SendMany: values into a channel, one or many.
#ifndef INTERPD_DAEMON_SEND_RPC_H_
#define INTERPD_DAEMON_SEND_RPC_H_

#include <grpcpp/alarm.h>

#include "daemon/channel_sender.h"
#include "daemon/raw_services.h"
#include "daemon/rpc.h"

namespace interpd::daemon {

class SendRpc final : public UnaryRpc<v1::SendRequest, v1::SendResponse> {
 public:
  SendRpc(ServerState& state, RawChannels& service)
      : UnaryRpc(state, RuleOf("interpd.v1.Channels/Send")),
        service_(service),
        sender_(state, [this] { End(sender_.status()); }) {}

 private:
  void Listen(void* tag) override;
  Rpc* Another() const override { return new SendRpc(state_, service_); }
  void Handle(v1::SendRequest& request) override;
  void OnCancelled() override { End(CancelledByClient()); }
  void OnShutdown() override { End(ServerDraining()); }

  // Puts the value into the channel, or lets it wait. An error: it is not in it and will not be.
  absl::Status Send(const v1::SendRequest& request);
  void TimedOut(bool ok);
  // The value that waits is in the channel, or will not be.
  void End(const absl::Status& status);

  RawChannels& service_;
  ChannelSender sender_;
  std::string name_;
  bool waiting_ = false;
  grpc::Alarm alarm_;
  Operation timed_out_{this, static_cast<void (Rpc::*)(bool)>(&SendRpc::TimedOut)};
};

class SendManyRpc final : public ClientStreamRpc<v1::SendManyResponse> {
 public:
  SendManyRpc(ServerState& state, RawChannels& service)
      : ClientStreamRpc(state, RuleOf("interpd.v1.Channels/SendMany")),
        service_(service),
        sender_(state, [this] { Advance(sender_.status()); }) {}

 private:
  void Listen(void* tag) override;
  Rpc* Another() const override { return new SendManyRpc(state_, service_); }
  void OnAccepted() override;
  void OnRead(bool ok) override;
  void OnCancelled() override { Advance(CancelledByClient()); }
  void OnShutdown() override { Advance(ServerDraining()); }

  absl::Status Take(const v1::SendManyRequest& request, size_t bytes);
  // Reads on, unless values wait for room; ends the call if it is at its end or `status` is an error.
  void Advance(const absl::Status& status);

  RawChannels& service_;
  ChannelSender sender_;
  bool read_all_ = false;
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_SEND_RPC_H_
