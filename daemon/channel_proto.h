// Channels as the public contract describes them, and the errors that concern one.
//
// Who includes this: the RPCs of channels. Thread safety: belongs to handlers of the event loop.
#ifndef INTERPD_DAEMON_CHANNEL_PROTO_H_
#define INTERPD_DAEMON_CHANNEL_PROTO_H_

#include <cstdint>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "channels/channel.h"
#include "channels/shared.h"
#include "daemon/server_state.h"
#include "interpd/v1/channels.pb.h"

namespace interpd::daemon {

// A channel by its resource name. Errors: INVALID_FIELD with that field, CHANNEL_NOT_FOUND.
absl::StatusOr<channels::Ref<channels::Channel>> FindChannel(ServerState& state, ChannelNames& names,
                                                             std::string_view name, std::string_view field);

// `name` is the resource name.
void EncodeChannel(const ServerState& state, std::string_view name, const channels::Channel& channel, v1::Channel* out);

// Errors: INVALID_FIELD.
absl::StatusOr<channels::ChannelOptions> DecodeChannelConfig(const v1::ChannelConfig& config);
absl::StatusOr<channels::SubscribeOptions> DecodeSubscription(const v1::Subscription& subscription,
                                                              std::string_view field);

// `name` is the resource name. `sent`: values that are in the channel before the one that was refused.
absl::Status ChannelClosed(std::string_view name, int64_t sent);
absl::Status ChannelFull(std::string_view name, size_t capacity);
absl::Status SubscriberTooSlow(std::string_view name, size_t capacity);

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_CHANNEL_PROTO_H_
