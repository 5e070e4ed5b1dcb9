#include "daemon/jobs/channel_references.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/status/statusor.h"

namespace interpd::daemon {
namespace {

constexpr char kNameless[] = "channels/~";
constexpr char kGone[] = "channels/~gone";

std::string Translated(ChannelNames& from, ChannelNames& to, const std::string& name) {
  if (name.starts_with(kNameless)) {
    absl::StatusOr<channels::Ref<channels::Channel>> channel = from.Find(name, "");
    return channel.ok() ? to.NameOf(*channel) : kGone;
  }
  absl::StatusOr<std::string> full = from.Parse(name, "");
  return full.ok() ? to.ResourceName(*full) : name;
}

}  // namespace

void TranslateChannels(ChannelNames& from, ChannelNames& to, v1::Value* value) {
  if (value->has_channel()) value->set_channel(Translated(from, to, value->channel()));
  for (v1::Value& item : *value->mutable_items()) TranslateChannels(from, to, &item);
}

bool RefersToNameless(const v1::Value& value) {
  return (value.has_channel() && value.channel().starts_with(kNameless)) ||
         std::any_of(value.items().begin(), value.items().end(), RefersToNameless);
}

}  // namespace interpd::daemon
