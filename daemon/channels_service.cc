#include "daemon/channels_service.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "absl/hash/hash.h"
#include "absl/strings/str_cat.h"
#include "channels/names.h"
#include "daemon/channel_names.h"
#include "daemon/channel_proto.h"
#include "daemon/channel_stream_rpc.h"
#include "daemon/full_name.h"
#include "daemon/immediate_rpc.h"
#include "daemon/interpreter_proto.h"
#include "daemon/page.h"
#include "daemon/send_rpc.h"

namespace interpd::daemon {
namespace {

// Calls that may arrive at once without waiting for this process to ask for the next.
constexpr int kWaitingForHot = 16;
constexpr int kWaitingForOthers = 4;

using channels::Channel;
using channels::Ref;

absl::Status Make(ServerState& state, const Principal& principal, const v1::CreateChannelRequest& request,
                  v1::Channel* response) {
  if (!request.channel_id().empty() && !IsValidId(request.channel_id())) {
    return InvalidField("channel_id",
                        "must be 1 to 63 letters, digits, '_', '-' or '.', a letter or digit first; leave it empty for "
                        "a fresh one");
  }
  absl::StatusOr<channels::ChannelOptions> options = DecodeChannelConfig(request.config());
  if (!options.ok()) return options.status();
  options->name = absl::StrCat(principal.space, request.channel_id());
  absl::StatusOr<Ref<Channel>> channel = state.channels.Create(*std::move(options));
  if (!channel.ok()) return channel.status();
  EncodeChannel(state, state.NamesOf(principal).ResourceName((*channel)->name()), **channel, response);
  return absl::OkStatus();
}

absl::Status Create(ServerState& state, const Principal& principal, const v1::CreateChannelRequest& request,
                    v1::Channel* response) {
  if (state.draining) return ServerDraining();
  if (request.request_id().empty()) return Make(state, principal, request, response);
  absl::Status id_valid = CheckRequestId(request.request_id());
  if (!id_valid.ok()) return id_valid;
  // Made at once, so nobody ever waits for the first of two.
  absl::Status told;
  CreateRequests<v1::Channel>::Answer answer = [&](const absl::Status& status, const v1::Channel& channel) {
    told = status;
    *response = channel;
  };
  const uint64_t fingerprint = absl::HashOf(request.SerializeAsString());
  CreateRequests<v1::Channel>& requests = state.create_channel_requests;
  // Two owners may have chosen the same.
  const std::string request_id = absl::StrCat(principal.space, request.request_id());
  if (requests.IsFirst(request_id, fingerprint, absl::Now(), &answer)) {
    told = Make(state, principal, request, response);
    requests.Made(request_id, told, *response, *response, absl::Now());
    return told;
  }
  if (!told.ok()) return told;
  // What it is now: it may have been closed since.
  absl::StatusOr<Ref<Channel>> now = FindChannel(state, state.NamesOf(principal), response->name(), "name");
  if (now.ok()) {
    v1::Channel refreshed;
    EncodeChannel(state, response->name(), **now, &refreshed);
    *response = std::move(refreshed);
  } else {
    response->set_state(v1::Channel::CLOSED);
  }
  return absl::OkStatus();
}

absl::Status Get(ServerState& state, const Principal& principal, const v1::GetChannelRequest& request,
                 v1::Channel* response) {
  absl::StatusOr<Ref<Channel>> channel = FindChannel(state, state.NamesOf(principal), request.name(), "name");
  if (!channel.ok()) return channel.status();
  EncodeChannel(state, request.name(), **channel, response);
  return absl::OkStatus();
}

absl::Status List(ServerState& state, const Principal& principal, const v1::ListChannelsRequest& request,
                  v1::ListChannelsResponse* response) {
  absl::StatusOr<Page> page = DecodePage(request.page_size(), request.page_token());
  if (!page.ok()) return page.status();
  // One more than asked for says whether there is a next page.
  const auto name_of = [](const Ref<Channel>& channel) { return std::string_view(channel->name()); };
  std::vector<Ref<Channel>> found = ListSeen(
      principal.space, page->after, page->size,
      [&](std::string_view after, size_t limit) { return state.channels.List(after, limit); }, name_of);
  // And those whose values are on their way, if their names are not taken by younger ones.
  std::vector<Ref<Channel>> all;
  const auto by_name = [](const Ref<Channel>& a, const Ref<Channel>& b) { return a->name() < b->name(); };
  std::vector<Ref<Channel>> closed = state.channel_clients.List();
  const std::string after = absl::StrCat(principal.space, page->after);
  std::erase_if(closed, [&](const Ref<Channel>& channel) {
    return channel->name() <= after || !principal.Sees(channels::SpaceOf(channel->name()));
  });
  std::set_union(found.begin(), found.end(), closed.begin(), closed.end(), std::back_inserter(all), by_name);
  if (all.size() > page->size) {
    all.resize(page->size);
    response->set_next_page_token(EncodePageToken(principal.Shown(all.back()->name())));
  }
  for (const Ref<Channel>& channel : all) {
    EncodeChannel(state, state.NamesOf(principal).ResourceName(channel->name()), *channel, response->add_channels());
  }
  return absl::OkStatus();
}

absl::Status Close(ServerState& state, const Principal& principal, const v1::CloseChannelRequest& request,
                   v1::Channel* response) {
  absl::StatusOr<Ref<Channel>> channel = FindChannel(state, state.NamesOf(principal), request.name(), "name");
  if (!channel.ok()) return channel.status();
  if (request.discard()) {
    (*channel)->Discard();
  } else {
    (*channel)->Close();
  }
  EncodeChannel(state, request.name(), **channel, response);
  return absl::OkStatus();
}

}  // namespace

void ChannelsService::Listen() {
  for (int i = 0; i < kWaitingForHot; ++i) (new SendRpc(state_, raw_))->Start();
  for (int i = 0; i < kWaitingForOthers; ++i) {
    (new SendManyRpc(state_, raw_))->Start();
    (new ReceiveRpc(state_, raw_))->Start();
    (new AttachRpc(state_, raw_))->Start();
    using CreateRpc = ImmediateRpc<RawChannels, v1::CreateChannelRequest, v1::Channel>;
    (new CreateRpc(state_, RuleOf("interpd.v1.Channels/Create"), raw_, &RawChannels::RequestCreate, &Create))->Start();
    using GetRpc = ImmediateRpc<RawChannels, v1::GetChannelRequest, v1::Channel>;
    (new GetRpc(state_, RuleOf("interpd.v1.Channels/Get"), raw_, &RawChannels::RequestGet, &Get))->Start();
    using ListRpc = ImmediateRpc<RawChannels, v1::ListChannelsRequest, v1::ListChannelsResponse>;
    (new ListRpc(state_, RuleOf("interpd.v1.Channels/List"), raw_, &RawChannels::RequestList, &List))->Start();
    using CloseRpc = ImmediateRpc<RawChannels, v1::CloseChannelRequest, v1::Channel>;
    (new CloseRpc(state_, RuleOf("interpd.v1.Channels/Close"), raw_, &RawChannels::RequestClose, &Close))->Start();
  }
}

}  // namespace interpd::daemon
