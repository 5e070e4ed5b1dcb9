#include "daemon/channel_proto.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "daemon/errors.h"
#include "daemon/full_name.h"

namespace interpd::daemon {
namespace {

using channels::Channel;
using channels::Ref;
using channels::SlowSubscriber;

std::string_view IdOf(std::string_view name) { return absl::StripPrefix(name, "channels/"); }

// Of what a client makes: a larger one takes longer to make than the event loop may be held up.
constexpr int64_t kMaxCapacity = int64_t{1} << 20;
static_assert(kMaxCapacity <= static_cast<int64_t>(Channel::kMaxCapacity));

bool IsCapacity(int64_t capacity, int64_t least) { return capacity >= least && capacity <= kMaxCapacity; }

}  // namespace

absl::StatusOr<Ref<Channel>> FindChannel(ServerState& state, ChannelNames& names, std::string_view name,
                                         std::string_view field) {
  absl::StatusOr<Ref<Channel>> found = names.Find(name, field);
  if (found.ok() || !absl::IsNotFound(found.status())) return found;
  // One that is closed and looked empty, but had values on their way that may come back, or have.
  absl::StatusOr<std::string> full = names.Parse(name, field);
  if (!full.ok()) return found;
  if (Ref<Channel> channel = state.channel_clients.Find(*full); channel != nullptr) return channel;
  return found;
}

void EncodeChannel(const ServerState& state, std::string_view name, const Channel& channel, v1::Channel* out) {
  const channels::ChannelStats stats = channel.Stats();
  const ChannelClientCounts clients = state.channel_clients.Counts(&channel);
  out->set_name(std::string(name));
  out->set_owner(OwnerOf(channel.name()));
  out->set_state(!stats.closed                                      ? v1::Channel::OPEN
                 : !channel.drained() || clients.unacknowledged > 0 ? v1::Channel::CLOSING
                                                                    : v1::Channel::CLOSED);
  // A broadcast has no capacity of its own, and its own receivers are told at once that it gives nothing.
  out->mutable_config()->set_kind(channel.broadcast() ? v1::ChannelConfig::BROADCAST : v1::ChannelConfig::QUEUE);
  if (!channel.broadcast()) out->mutable_config()->set_capacity(static_cast<int64_t>(stats.capacity));
  out->set_length(static_cast<int64_t>(stats.size));
  out->set_sent_count(static_cast<int64_t>(stats.sent));
  out->set_received_count(static_cast<int64_t>(stats.received));
  out->set_returned_count(static_cast<int64_t>(stats.returned));
  out->set_unacknowledged_count(clients.unacknowledged);
  out->set_waiting_senders(clients.waiting_senders);
  out->set_waiting_receivers(clients.waiting_receivers);
  out->set_subscriber_count(static_cast<int64_t>(stats.subscribers));
  out->set_dropped_count(static_cast<int64_t>(stats.dropped));
}

absl::StatusOr<channels::ChannelOptions> DecodeChannelConfig(const v1::ChannelConfig& config) {
  channels::ChannelOptions options;
  switch (config.kind()) {
    case v1::ChannelConfig::KIND_UNSPECIFIED:
    case v1::ChannelConfig::QUEUE: break;
    case v1::ChannelConfig::BROADCAST: options.broadcast = true; break;
    default: return InvalidField("config.kind", "is not known");
  }
  if (!config.has_capacity()) return options;
  if (options.broadcast)
    return InvalidField("config.capacity", "is not for a broadcast: its subscribers choose theirs");
  if (!IsCapacity(config.capacity(), 0)) {
    return InvalidField("config.capacity",
                        absl::StrCat("must be 0 to ", kMaxCapacity, ", or unset for ", options.capacity));
  }
  options.capacity = static_cast<size_t>(config.capacity());
  return options;
}

absl::StatusOr<channels::SubscribeOptions> DecodeSubscription(const v1::Subscription& subscription,
                                                              std::string_view field) {
  channels::SubscribeOptions options;
  switch (subscription.slow()) {
    case v1::Subscription::SLOW_UNSPECIFIED:
    case v1::Subscription::BLOCK: options.slow = SlowSubscriber::kBlock; break;
    case v1::Subscription::DROP_OLDEST: options.slow = SlowSubscriber::kDropOldest; break;
    case v1::Subscription::DISCONNECT: options.slow = SlowSubscriber::kDisconnect; break;
    default: return InvalidField(absl::StrCat(field, ".slow"), "is not known");
  }
  if (subscription.capacity() == 0) return options;
  if (!IsCapacity(subscription.capacity(), 1)) {
    return InvalidField(absl::StrCat(field, ".capacity"),
                        absl::StrCat("must be 1 to ", kMaxCapacity, ", or 0 for ", options.capacity));
  }
  options.capacity = static_cast<size_t>(subscription.capacity());
  return options;
}

absl::Status ChannelClosed(std::string_view name, int64_t sent) {
  return MakeError(absl::StatusCode::kFailedPrecondition, v1::CHANNEL_CLOSED,
                   absl::StrCat(name, " is closed: nothing more can be sent; ", sent, " of these values are in it"),
                   {{"channel", IdOf(name)}, {"sent", absl::StrCat(sent)}});
}

absl::Status ChannelFull(std::string_view name, size_t capacity) {
  return MakeError(absl::StatusCode::kResourceExhausted, v1::CHANNEL_FULL,
                   absl::StrCat(name, " is full, at a capacity of ", capacity, "; receive from it, or try again later"),
                   {{"channel", IdOf(name)}, {"capacity", absl::StrCat(capacity)}});
}

absl::Status SubscriberTooSlow(std::string_view name, size_t capacity) {
  return MakeError(absl::StatusCode::kResourceExhausted, v1::SUBSCRIBER_TOO_SLOW,
                   absl::StrCat(name, " has let this subscriber go: more than ", capacity,
                                " values waited for it; receive faster, or subscribe with a larger capacity"),
                   {{"channel", IdOf(name)}, {"capacity", absl::StrCat(capacity)}});
}

}  // namespace interpd::daemon
