// ChannelReceiver: the half of a stream that takes values out of a channel for a client, as far as it has asked for
// them, and gives back what it does not acknowledge.
//
// A value goes through these hands: channel -> (held_, when a message has no room for it) -> message -> unacknowledged_
// -> gone. What is in one of the last two when the stream ends goes back to the head of the channel, in order. Without
// acknowledgements a value that is in a message is the client's.
//
// Who includes this: the RPCs that receive. Thread safety: belongs to handlers of the event loop.
#ifndef INTERPD_DAEMON_CHANNEL_RECEIVER_H_
#define INTERPD_DAEMON_CHANNEL_RECEIVER_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "channels/channel.h"
#include "channels/shared.h"
#include "channels/value.h"
#include "daemon/channel_clients.h"
#include "daemon/channel_watch.h"
#include "daemon/server_state.h"
#include "daemon/value_batch.h"
#include "interpd/v1/channels.pb.h"

namespace interpd::daemon {

enum class Acknowledge { kNo, kYes };

class ChannelReceiver final : private ChannelClients::Heir {
 public:
  // `on_ready` is called in the event loop, never from within a method, when Fill may have something to say.
  ChannelReceiver(ServerState& state, std::function<void()> on_ready);
  // As GiveBack.
  ~ChannelReceiver();

  // `max_bytes`: of a message of values. `subscription` is null for none. Errors: INVALID_FIELD with `field` or with
  // one beside it, CHANNEL_NOT_FOUND.
  absl::Status Attach(ChannelNames& names, std::string_view name, std::string_view field, Acknowledge acknowledge,
                      const v1::Subscription* subscription, int64_t max_bytes);
  bool attached() const { return channel_ != nullptr; }

  // What the client says. Errors: INVALID_FIELD.
  absl::Status Grant(int64_t credit);
  absl::Status Settle(int64_t acknowledged_number);
  void Stop() { stopped_ = true; }
  // It will say no more.
  void ClientEnded();

  // Takes what there is, as far as credit goes, into an empty batch. Returns whether it put something in; if not, and
  // it has not ended, `on_ready` tells when to ask again. Errors: VALUE_NOT_SHAREABLE, MESSAGE_TOO_LARGE,
  // SUBSCRIBER_TOO_SLOW; none while the batch has something.
  absl::StatusOr<bool> Fill(v1::ValueBatch* values);

  // The number of the value that was taken last.
  int64_t last_number() const { return taken_; }

  // Values that a broadcast's subscriber has lost.
  int64_t dropped_count() const;

  // As of the last Fill: no value will come any more.
  bool ended() const { return ended_; }
  // Nothing is waited for that the client may still have to say.
  bool settled() const { return unacknowledged_.empty() || client_ended_; }

  // The stream is at its end: what the client has not got, or not acknowledged, goes back.
  void GiveBack();

 private:
  void Settled() override { on_ready_(); }
  // Appends the next value, if there is one and it fits. Returns whether to go on.
  absl::StatusOr<bool> TakeOne(BatchWriter& writer);
  // There is nothing to take: waits for more, if more may come. Errors: SUBSCRIBER_TOO_SLOW.
  absl::Status WaitForMore(channels::Outcome outcome);

  ServerState& state_;
  ChannelNames* names_ = nullptr;  // since Attach
  const std::function<void()> on_ready_;
  std::string name_;
  channels::Ref<channels::Channel> broadcast_;  // null for other kinds
  channels::Ref<channels::Channel> channel_;    // from which it receives; of a broadcast, its own end
  Acknowledge acknowledge_ = Acknowledge::kNo;
  int64_t max_bytes_ = 0;

  int64_t credit_ = 0;  // asked for and not taken
  int64_t taken_ = 0;
  std::optional<channels::Value> held_;
  std::deque<channels::Value> unacknowledged_;  // the last one's number is `taken_`
  bool stopped_ = false;
  bool client_ended_ = false;
  bool ended_ = false;
  ChannelWatch watch_;
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_CHANNEL_RECEIVER_H_
