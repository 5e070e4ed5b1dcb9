#include "daemon/channel_names.h"

#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "daemon/errors.h"
#include "daemon/full_name.h"
#include "daemon/utf8.h"

namespace interpd::daemon {
namespace {

using channels::Channel;
using channels::Ref;

constexpr std::string_view kCollection = "channels/";
// Begins the name of a channel that has none of its own.
constexpr std::string_view kAnonymous = "channels/~";

}  // namespace

std::string ChannelNames::ResourceName(std::string_view full_name) const {
  return absl::StrCat(kCollection, absl::StripPrefix(full_name, space_));
}

absl::StatusOr<std::string> ChannelNames::Parse(std::string_view name, std::string_view field) const {
  std::string_view written = name;
  std::optional<std::string> full;
  if (absl::ConsumePrefix(&written, kCollection)) full = FullName(space_, written);
  if (full) return *std::move(full);
  return InvalidField(field,
                      absl::StrCat("must be channels/ID, with an ID of 1 to 63 letters, digits, '_', '-' or '.', a "
                                   "letter or digit first; it is \"",
                                   Abridge(name, 128), "\""));
}

std::string ChannelNames::NameOf(const Ref<Channel>& channel) {
  const std::string& name = channel->name();
  if (!name.empty() && (space_.empty() || channels::SpaceOf(name) == space_)) {
    // Its name may belong to a younger one by now.
    absl::StatusOr<Ref<Channel>> named = registry_.Get(name);
    if (named.ok() && *named == channel) return ResourceName(name);
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
  return absl::StrCat(kAnonymous, found->second->number);
}

absl::StatusOr<Ref<Channel>> ChannelNames::Find(std::string_view name, std::string_view field) {
  std::string_view written = name;
  if (!absl::ConsumePrefix(&written, kAnonymous) || !IsValidId(written)) {
    absl::StatusOr<std::string> full = Parse(name, field);
    if (!full.ok()) return full.status();
    return registry_.Get(*full);
  }
  List dead;
  absl::MutexLock lock(mutex_);
  Sweep(&dead);
  uint64_t number = 0;
  auto found = absl::SimpleAtoi(written, &number) ? by_number_.find(number) : by_number_.end();
  if (found == by_number_.end()) {
    return MakeError(absl::StatusCode::kNotFound, v1::CHANNEL_NOT_FOUND,
                     absl::StrCat("there is no channel ~", written,
                                  ", or it was not named for ten minutes; give channels that must last a name"),
                     {{"channel", absl::StrCat("~", written)}});
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
