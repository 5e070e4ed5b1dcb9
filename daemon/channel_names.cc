#include "daemon/channel_names.h"

#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "daemon/errors.h"
#include "daemon/interpreter_proto.h"
#include "daemon/utf8.h"

namespace interpd::daemon {
namespace {

using channels::Channel;
using channels::Ref;

constexpr std::string_view kCollection = "channels/";
// Begins the ID of a channel that has no name of its own.
constexpr char kAnonymous = '~';

}  // namespace

absl::StatusOr<std::string_view> ParseChannelName(std::string_view name, std::string_view field) {
  std::string_view id = name;
  const bool prefixed = absl::ConsumePrefix(&id, kCollection);
  if (!prefixed || !IsValidId(absl::StripPrefix(id, std::string_view(&kAnonymous, 1)))) {
    return InvalidField(field,
                        absl::StrCat("must be channels/ID, with an ID of 1 to 63 letters, digits, '_', '-' or '.', a "
                                     "letter or digit first; it is \"",
                                     Abridge(name, 128), "\""));
  }
  return id;
}

std::string ChannelResourceName(std::string_view id) { return absl::StrCat(kCollection, id); }

std::string ChannelNames::NameOf(const Ref<Channel>& channel) {
  if (!channel->name().empty()) {
    // Its name may belong to a younger one by now.
    absl::StatusOr<Ref<Channel>> named = registry_.Get(channel->name());
    if (named.ok() && *named == channel) return ChannelResourceName(channel->name());
  }
  List dead;
  absl::MutexLock lock(mutex_);
  Sweep(&dead);
  auto [found, is_new] = by_channel_.try_emplace(channel.get());
  if (is_new) {
    found->second = held_.insert(held_.end(), Held{++last_number_, channel, now_()});
    by_number_[last_number_] = found->second;
  } else {
    Named(found->second);
  }
  return absl::StrCat(kCollection, std::string_view(&kAnonymous, 1), found->second->number);
}

absl::StatusOr<Ref<Channel>> ChannelNames::Find(std::string_view name, std::string_view field) {
  absl::StatusOr<std::string_view> id = ParseChannelName(name, field);
  if (!id.ok()) return id.status();
  if ((*id)[0] != kAnonymous) return registry_.Get(*id);
  List dead;
  absl::MutexLock lock(mutex_);
  Sweep(&dead);
  uint64_t number = 0;
  auto found = absl::SimpleAtoi(id->substr(1), &number) ? by_number_.find(number) : by_number_.end();
  if (found == by_number_.end()) {
    return MakeError(absl::StatusCode::kNotFound, v1::CHANNEL_NOT_FOUND,
                     absl::StrCat("there is no channel ", *id,
                                  ", or it was not named for ten minutes; give channels that must last a name"),
                     {{"channel", *id}});
  }
  Named(found->second);
  return found->second->channel;
}

size_t ChannelNames::held_count() {
  List dead;
  absl::MutexLock lock(mutex_);
  Sweep(&dead);
  return held_.size();
}

void ChannelNames::Sweep(List* dead) {
  const absl::Time now = now_();
  while (!held_.empty() && (now - held_.front().named >= kHeld || held_.size() >= kMaxHeld)) {
    by_channel_.erase(held_.front().channel.get());
    by_number_.erase(held_.front().number);
    dead->splice(dead->end(), held_, held_.begin());
  }
}

void ChannelNames::Named(List::iterator held) {
  held->named = now_();
  held_.splice(held_.end(), held_, held);
}

}  // namespace interpd::daemon
