// ChannelClients: what clients do at each channel at the moment: who waits, and which values were delivered to them and
// are not acknowledged.
//
// Who includes this: the halves of channel streams, and the service, which shows it. A closed channel with
// unacknowledged values may be empty and yet have more to give: they go back to it when their client dies. Receivers
// wait for that here, and here is where its name is known once the registry has let it go. Thread safety: belongs to
// handlers of the event loop.
#ifndef INTERPD_DAEMON_CHANNEL_CLIENTS_H_
#define INTERPD_DAEMON_CHANNEL_CLIENTS_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "channels/channel.h"
#include "channels/shared.h"
#include "daemon/event_loop.h"

namespace interpd::daemon {

struct ChannelClientCounts {
  int64_t waiting_senders = 0;
  int64_t waiting_receivers = 0;
  int64_t unacknowledged = 0;  // values
};

class ChannelClients final : private EventLoop::Task {
 public:
  // Waits for values of a closed channel that others have not acknowledged.
  class Heir {
   public:
    // Values were acknowledged, or went back.
    virtual void Settled() = 0;

   protected:
    ~Heir() = default;
  };

  explicit ChannelClients(EventLoop& loop) : loop_(loop) {}

  ChannelClientCounts Counts(const channels::Channel* channel) const {
    auto found = entries_.find(channel);
    return found == entries_.end() ? ChannelClientCounts() : found->second.counts;
  }
  int64_t unacknowledged_total() const { return unacknowledged_total_; }

  // A client begins, or with -1 ends, to wait.
  void Waits(const channels::Channel* channel, channels::Direction direction, int64_t change) {
    Entry& entry = entries_[channel];
    (direction == channels::Direction::kSend ? entry.counts.waiting_senders : entry.counts.waiting_receivers) += change;
    EraseIfIdle(channel, entry);
  }

  // One value more that was delivered.
  void Delivered(const channels::Ref<channels::Channel>& channel) {
    Entry& entry = entries_[channel.get()];
    if (entry.channel == nullptr) entry.channel = channel;
    ++entry.counts.unacknowledged;
    ++unacknowledged_total_;
  }
  // So many were acknowledged or went back. Requires: they were delivered.
  void Settled(const channels::Channel* channel, int64_t count);

  // Tells the heir once, when values of the channel are settled. Requires: it has unacknowledged ones.
  void Wait(const channels::Channel* channel, Heir* heir) { entries_.at(channel).heirs.push_back(heir); }
  void Forget(Heir* heir);

  // Closed channels with a name whose values are, or were, not all acknowledged, and which are not drained; by name.
  channels::Ref<channels::Channel> Find(std::string_view name);
  std::vector<channels::Ref<channels::Channel>> List();

 private:
  struct Entry {
    ChannelClientCounts counts;
    channels::Ref<channels::Channel> channel;  // since the first delivery, and until all is settled and received
    std::vector<Heir*> heirs;
  };

  void Run() override;
  // Whether the entry is gone.
  bool EraseIfIdle(const channels::Channel* channel, Entry& entry);

  EventLoop& loop_;
  bool scheduled_ = false;
  int64_t unacknowledged_total_ = 0;
  absl::flat_hash_map<const channels::Channel*, Entry> entries_;
  std::vector<Heir*> settled_;  // to be told
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_CHANNEL_CLIENTS_H_
