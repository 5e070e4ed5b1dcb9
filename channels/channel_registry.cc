#include "channels/channel_registry.h"

#include <mutex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "channels/error.h"
#include "channels/names.h"

namespace interpd::channels {
namespace {

absl::Status Check(const ChannelOptions& options) {
  if (!IdOf(options.name).empty()) {
    absl::Status named = CheckName(IdOf(options.name), "a channel", "channel_id");
    if (!named.ok()) return named;
  }
  if (options.capacity > Channel::kMaxCapacity) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, "INVALID_FIELD",
        absl::StrCat("capacity is ", options.capacity, "; a channel holds at most ", Channel::kMaxCapacity, " values"),
        {{"field", "capacity"}});
  }
  return absl::OkStatus();
}

}  // namespace

void ChannelRegistry::Sweep(std::vector<Ref<Channel>>* dead) {
  for (auto it = channels_.begin(); it != channels_.end();) {
    if (it->second->drained()) {
      dead->push_back(std::move(it->second));
      it = channels_.erase(it);
    } else {
      ++it;
    }
  }
}

ChannelRegistry::Channels::iterator ChannelRegistry::Find(std::string_view name) {
  auto found = channels_.find(name);
  return found != channels_.end() && found->second->drained() ? channels_.end() : found;
}

absl::Status ChannelRegistry::NotFound(std::string_view name) {
  return MakeError(absl::StatusCode::kNotFound, "CHANNEL_NOT_FOUND",
                   absl::StrCat("there is no channel '", IdOf(name), "'", ThereAre(channels_, SpaceOf(name))),
                   {{"channel", IdOf(name)}});
}

Ref<Channel> ChannelRegistry::MakeNew(ChannelOptions options) {
  Ref<Channel> channel = Channel::Make(options);
  channels_[options.name] = channel;
  return channel;
}

absl::StatusOr<Ref<Channel>> ChannelRegistry::Create(ChannelOptions options) {
  if (absl::Status checked = Check(options); !checked.ok()) return checked;
  std::vector<Ref<Channel>> dead;
  std::lock_guard lock(mutex_);
  Sweep(&dead);
  if (IdOf(options.name).empty()) {
    const std::string space = options.name;
    uint64_t& last = fresh_names_[space];
    do {
      options.name = absl::StrCat(space, "ch", ++last);
    } while (channels_.contains(options.name));
  } else if (channels_.contains(options.name)) {
    return MakeError(absl::StatusCode::kAlreadyExists, "CHANNEL_EXISTS",
                     absl::StrCat("there is a channel '", IdOf(options.name),
                                  "' already; close it and receive what is in it, or take another name"),
                     {{"channel", IdOf(options.name)}});
  }
  return MakeNew(std::move(options));
}

absl::StatusOr<Ref<Channel>> ChannelRegistry::OpenOrCreate(ChannelOptions options) {
  if (IdOf(options.name).empty()) return Create(std::move(options));
  if (absl::Status checked = Check(options); !checked.ok()) return checked;
  std::vector<Ref<Channel>> dead;
  std::lock_guard lock(mutex_);
  Sweep(&dead);
  if (auto found = channels_.find(options.name); found != channels_.end()) return found->second;
  return MakeNew(std::move(options));
}

absl::StatusOr<Ref<Channel>> ChannelRegistry::Get(std::string_view name) {
  std::vector<Ref<Channel>> dead;
  std::lock_guard lock(mutex_);
  if (auto found = Find(name); found != channels_.end()) return found->second;
  Sweep(&dead);
  return NotFound(name);
}

std::vector<Ref<Channel>> ChannelRegistry::List(std::string_view after, size_t limit) {
  std::vector<Ref<Channel>> dead;
  std::lock_guard lock(mutex_);
  Sweep(&dead);
  std::vector<Ref<Channel>> found;
  for (auto it = channels_.upper_bound(after); it != channels_.end() && found.size() < limit; ++it) {
    found.push_back(it->second);
  }
  return found;
}

absl::Status ChannelRegistry::Close(std::string_view name, bool discard) {
  Ref<Channel> channel;
  std::vector<Ref<Channel>> dead;
  {
    std::lock_guard lock(mutex_);
    auto found = Find(name);
    if (found == channels_.end()) {
      Sweep(&dead);
      return NotFound(name);
    }
    channel = found->second;
    if (discard) channels_.erase(found);
  }
  if (discard) {
    channel->Discard();
  } else if (!channel->Close()) {
    return MakeError(absl::StatusCode::kFailedPrecondition, "CHANNEL_CLOSED",
                     absl::StrCat("channel '", IdOf(name), "' is closed already, and ", channel->SizeGuess(),
                                  " values wait in it; receive them, or discard them"),
                     {{"channel", IdOf(name)}});
  }
  return absl::OkStatus();
}

void ChannelRegistry::DiscardAll() {
  Channels all;
  {
    std::lock_guard lock(mutex_);
    all.swap(channels_);
  }
  for (auto& [name, channel] : all) channel->Discard();
}

}  // namespace interpd::channels
