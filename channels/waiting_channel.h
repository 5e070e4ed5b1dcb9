// WaitingChannel: the waiting of those flavours in which to wait means to try again when there is news.
//
// Who includes this: queue_channel.h, broadcast_channel.h.
//
// A flavour brings tries of several values at once, which notify the other side, and says what a try would find.
// Thread safety: all methods, any thread.
#ifndef INTERPD_CHANNELS_WAITING_CHANNEL_H_
#define INTERPD_CHANNELS_WAITING_CHANNEL_H_

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "channels/channel.h"
#include "channels/select_waiter.h"
#include "channels/wait_side.h"

namespace interpd::channels {

template <template <typename> class Atom>
class WaitingChannel : public Channel {
 public:
  Outcome Send(Value& value, const Wait& wait) override {
    return SideOf(Direction::kSend)
        .Block(Outcome::kFull, wait, [&] { return TrySend(value); }, [&] { return MayTry(Direction::kSend); });
  }

  Outcome Recv(Value* value, const Wait& wait) override {
    return SideOf(Direction::kRecv)
        .Block(Outcome::kEmpty, wait, [&] { return TryRecv(value); }, [&] { return MayTry(Direction::kRecv); });
  }

  Outcome PollRecv(Value* value) override {
    return SideOf(Direction::kRecv)
        .Poll(Outcome::kEmpty, [&] { return TryRecv(value); }, [&] { return MayTry(Direction::kRecv); });
  }

  Outcome SendMany(absl::Span<Value> values, size_t* sent, const Wait& wait) override {
    *sent = 0;
    while (*sent < values.size()) {
      size_t count = 0;
      const Outcome outcome = SideOf(Direction::kSend)
                                  .Block(
                                      Outcome::kFull, wait,
                                      [&] {
                                        const Outcome tried = TrySendMany(values.subspan(*sent), &count);
                                        return count > 0 ? Outcome::kDone : tried;
                                      },
                                      [&] { return MayTry(Direction::kSend); });
      if (outcome != Outcome::kDone) return outcome;
      *sent += count;
    }
    return Outcome::kDone;
  }

  Outcome RecvMany(size_t max, std::vector<Value>* values, const Wait& wait) override {
    if (max == 0) return Outcome::kDone;
    // Received in place, some at a time, so that a large `max` costs nothing that is not used.
    constexpr size_t kSome = 64;
    size_t size = values->size();
    size_t some = std::min(max, kSome);
    size_t count = 0;
    values->resize(size + some);
    const Outcome outcome =
        SideOf(Direction::kRecv)
            .Block(
                Outcome::kEmpty, wait, [&] { return TryRecvMany(values->data() + size, some, &count); },
                [&] { return MayTry(Direction::kRecv); });
    while (true) {
      size += count;
      max -= count;
      if (max == 0 || count < some) break;
      some = std::min(max, kSome);
      values->resize(size + some);
      TryRecvMany(values->data() + size, some, &count);
    }
    values->resize(size);
    return outcome;
  }

  WatchId Watch(Direction direction, std::shared_ptr<Watcher> watcher) override {
    Listeners<Atom>& listeners = SideOf(direction).listeners();
    const WatchId id = listeners.Watch(direction, std::move(watcher));
    if (!MayTry(direction)) return id;
    if (std::shared_ptr<Watcher> mine = listeners.Unwatch(id)) mine->Ready();
    return {};
  }
  bool Unwatch(const WatchId& id) override { return SideOf(id.direction).listeners().Unwatch(id) != nullptr; }

  void Enlist(SelectEntry& entry) override { SideOf(entry.direction).listeners().Enlist(entry); }
  bool Delist(SelectEntry& entry) override { return SideOf(entry.direction).listeners().Delist(entry); }
  bool MayTry(const SelectEntry& entry) const override { return MayTry(entry.direction); }
  void PassOn(Direction direction) override {
    if (MayTry(direction)) SideOf(direction).PassOn();
  }

 protected:
  using Channel::Channel;

  // *count: how many. kDone: at least one (TryRecvMany), all (TrySendMany).
  virtual Outcome TrySendMany(absl::Span<Value> values, size_t* count) = 0;
  virtual Outcome TryRecvMany(Value* values, size_t max, size_t* count) = 0;
  // Whether a try may answer something else than kFull or kEmpty.
  virtual bool MayTry(Direction direction) const = 0;
  virtual WaitSide<Atom>& SideOf(Direction direction) = 0;
};

}  // namespace interpd::channels

#endif  // INTERPD_CHANNELS_WAITING_CHANNEL_H_
