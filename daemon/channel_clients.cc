#include "daemon/channel_clients.h"

#include <algorithm>

namespace interpd::daemon {

bool ChannelClients::EraseIfIdle(const channels::Channel* channel, Entry& entry) {
  const ChannelClientCounts& counts = entry.counts;
  if (counts.waiting_senders != 0 || counts.waiting_receivers != 0 || counts.unacknowledged != 0) return false;
  // What went back to a closed channel must still be found by its name.
  if (entry.channel != nullptr && entry.channel->closed() && !entry.channel->drained()) return false;
  // Moved out, since it may be the last reference and the key points at it.
  channels::Ref<channels::Channel> last = std::move(entry.channel);
  entries_.erase(channel);
  return true;
}

void ChannelClients::Settled(const channels::Channel* channel, int64_t count) {
  Entry& entry = entries_.at(channel);
  entry.counts.unacknowledged -= count;
  unacknowledged_total_ -= count;
  settled_.insert(settled_.end(), entry.heirs.begin(), entry.heirs.end());
  entry.heirs.clear();
  EraseIfIdle(channel, entry);
  if (settled_.empty() || std::exchange(scheduled_, true)) return;
  loop_.Defer(this);
}

void ChannelClients::Forget(Heir* heir) {
  for (auto& [channel, entry] : entries_) std::erase(entry.heirs, heir);
  std::erase(settled_, heir);
}

channels::Ref<channels::Channel> ChannelClients::Find(std::string_view name) {
  for (const channels::Ref<channels::Channel>& channel : List()) {
    if (channel->name() == name) return channel;
  }
  return nullptr;
}

std::vector<channels::Ref<channels::Channel>> ChannelClients::List() {
  std::vector<channels::Ref<channels::Channel>> closed, drained;
  for (const auto& [channel, entry] : entries_) {
    if (entry.channel == nullptr || !entry.channel->closed() || entry.channel->name().empty()) continue;
    (entry.counts.unacknowledged == 0 && entry.channel->drained() ? drained : closed).push_back(entry.channel);
  }
  for (const channels::Ref<channels::Channel>& channel : drained) EraseIfIdle(channel.get(), entries_[channel.get()]);
  std::sort(closed.begin(), closed.end(), [](const auto& a, const auto& b) { return a->name() < b->name(); });
  return closed;
}

void ChannelClients::Run() {
  scheduled_ = false;
  while (!settled_.empty()) {
    Heir* heir = settled_.back();
    settled_.pop_back();
    heir->Settled();
  }
}

}  // namespace interpd::daemon
