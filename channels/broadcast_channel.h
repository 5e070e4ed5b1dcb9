// BroadcastChannel: the flavour whose values go to each of its subscribers.
//
// Who includes this: channel.cc; tests of all interleavings, with their Atom.
//
// A subscriber has a queue of its own (queue_channel.h), from which its end, a Channel, receives. A send first takes
// room with every subscriber for which senders wait (SlowSubscriber::kBlock), or with none and answers kFull; then it
// puts a share of the value into each queue. So a send reaches all subscribers or none.
//
// Guarantees: each subscriber gets the values of one sender in the order in which they were sent, and every value whose
// send began after Subscribe returned and ended before its end was closed, but for what its policy lets it lose.
// Different subscribers may get values of different senders in different orders: sends are not linearizable as a whole.
// A send that meets a Close may reach some subscribers only; if it reached none, it says kClosed. Lock-free. A sender
// that stops in the midst of a send holds one value's room with each blocking subscriber.
//
// Thread safety: all methods, any thread.
#ifndef INTERPD_CHANNELS_BROADCAST_CHANNEL_H_
#define INTERPD_CHANNELS_BROADCAST_CHANNEL_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/types/span.h"
#include "channels/channel.h"
#include "channels/queue_channel.h"
#include "channels/shared.h"
#include "channels/visits.h"
#include "channels/wait_side.h"
#include "channels/waiting_channel.h"

namespace interpd::channels {

template <template <typename> class Atom>
class BroadcastHub;

// What a subscriber's end and the hub share.
template <template <typename> class Atom>
class Subscription final : public Shared {
 public:
  Subscription(const SubscribeOptions& options, std::string name)
      : slow_(options.slow),
        queue_(MakeRef<QueueChannel<Atom>>(options.capacity, std::move(name))),
        room_(static_cast<int64_t>(options.capacity)) {}

  QueueChannel<Atom>& queue() const { return *queue_; }
  bool gone() const { return queue_->closed(); }
  bool blocks() const { return slow_ == SlowSubscriber::kBlock; }
  uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }  // relaxed: a statistic

  bool HasRoom() const { return room_.load(std::memory_order_seq_cst) > 0; }  // seq_cst: the answer "full"
  bool TakeRoom() {
    int64_t room = room_.load(std::memory_order_seq_cst);  // seq_cst: the answer "full"
    // acquire (in seq_cst): room is given back after a value was taken out of the queue.
    while (room > 0) {
      if (room_.compare_exchange_weak(room, room - 1, std::memory_order_seq_cst)) return true;
    }
    return false;
  }
  // May be negative: values that came back.
  void GiveRoom(int64_t count) { room_.fetch_add(count, std::memory_order_seq_cst); }  // seq_cst: as above

  // Puts the value in by the subscriber's policy; false: the end is closed. Requires: room was taken, if it blocks.
  bool Deliver(Value value) {
    while (true) {
      const Outcome outcome = queue_->TrySend(value);
      if (outcome != Outcome::kFull) return outcome == Outcome::kDone;
      if (slow_ == SlowSubscriber::kDisconnect) {
        queue_->Close();
        return false;
      }
      Value oldest;
      // relaxed: a statistic
      if (queue_->TryRecv(&oldest) == Outcome::kDone) dropped_.fetch_add(1, std::memory_order_relaxed);
    }
  }

 private:
  const SlowSubscriber slow_;
  const Ref<QueueChannel<Atom>> queue_;
  Atom<int64_t> room_;
  Atom<uint64_t> dropped_{0};
};

// The senders' half of a broadcast channel, which its subscribers keep alive to give room back.
template <template <typename> class Atom>
class BroadcastHub final : public Shared {
 public:
  using Target = Ref<Subscription<Atom>>;

  ~BroadcastHub() override {
    // relaxed: nobody else uses it.
    for (Place* place = places_.load(std::memory_order_relaxed); place != nullptr;) {
      delete place->listed.load(std::memory_order_relaxed);
      delete std::exchange(place, place->next);
    }
  }

  void Add(Target target) {
    auto* listed = new Listed(std::move(target));
    // acquire: the place is made.
    for (Place* place = places_.load(std::memory_order_acquire); place != nullptr; place = place->next) {
      Listed* none = nullptr;
      // seq_cst: release, what is listed is visible; and in order with the look at closed.
      if (place->listed.compare_exchange_strong(none, listed, std::memory_order_seq_cst)) return;
    }
    auto* place = new Place;
    place->listed.store(listed, std::memory_order_relaxed);  // relaxed: published with the place
    place->next = places_.load(std::memory_order_relaxed);   // relaxed: only linked to
    while (!places_.compare_exchange_weak(place->next, place, std::memory_order_seq_cst, std::memory_order_relaxed)) {
    }
  }

  // Forgets those whose ends are closed.
  void Sweep() {
    visits_.Enter();
    for (Place* place = First(); place != nullptr; place = place->next) {
      Listed* listed = place->listed.load(std::memory_order_seq_cst);  // seq_cst: as in Visits::Enter
      if (listed != nullptr && listed->target->gone() &&
          place->listed.compare_exchange_strong(listed, nullptr, std::memory_order_seq_cst)) {
        visits_.Retire(listed);
      }
    }
    visits_.Leave();
    // A send may have waited for room with them.
    senders_.NotifyAll();
  }

  // Calls visit(subscription) for each that is there.
  template <typename Visit>
  void ForEach(Visit visit) {
    visits_.Enter();
    for (Place* place = First(); place != nullptr; place = place->next) {
      Listed* listed = place->listed.load(std::memory_order_seq_cst);  // seq_cst: as in Visits::Enter
      if (listed != nullptr && !listed->target->gone()) visit(listed->target);
    }
    visits_.Leave();
  }

  // False: it was closed already.
  bool Close() {
    if (closed_.exchange(true, std::memory_order_seq_cst)) return false;
    ForEach([](const Target& target) { target->queue().Close(); });
    Sweep();
    return true;
  }
  bool closed() const { return closed_.load(std::memory_order_seq_cst); }  // seq_cst: in order with Add

  WaitSide<Atom>& senders() { return senders_; }

 private:
  struct Listed : Retirable {
    explicit Listed(Target from) : target(std::move(from)) {}
    const Target target;
  };
  struct Place {
    Atom<Listed*> listed{nullptr};
    Place* next = nullptr;  // immutable once the place is on the list
  };

  Place* First() const { return places_.load(std::memory_order_seq_cst); }  // seq_cst: as in Visits::Enter

  Atom<bool> closed_{false};
  Atom<Place*> places_{nullptr};
  Visits<Atom> visits_;
  WaitSide<Atom> senders_;
};

// A subscriber's end.
template <template <typename> class Atom>
class SubscriberChannel final : public Channel {
 public:
  SubscriberChannel(Ref<BroadcastHub<Atom>> hub, Ref<Subscription<Atom>> subscription, std::string name)
      : Channel(std::move(name)), hub_(std::move(hub)), subscription_(std::move(subscription)) {}
  ~SubscriberChannel() override {
    queue().Discard();
    hub_->Sweep();
  }

  Outcome TrySend(Value&) override { return Outcome::kClosed; }
  Outcome Send(Value&, const Wait&) override { return Outcome::kClosed; }
  Outcome SendMany(absl::Span<Value> values, size_t* sent, const Wait&) override {
    *sent = 0;
    return values.empty() ? Outcome::kDone : Outcome::kClosed;
  }

  Outcome TryRecv(Value* value) override { return Freed(queue().TryRecv(value), 1); }
  Outcome Recv(Value* value, const Wait& wait) override { return Freed(queue().Recv(value, wait), 1); }
  Outcome RecvMany(size_t max, std::vector<Value>* values, const Wait& wait) override {
    const size_t before = values->size();
    const Outcome outcome = queue().RecvMany(max, values, wait);
    return Freed(outcome, values->size() - before);
  }
  void Return(std::vector<Value> values) override {
    subscription_->GiveRoom(-static_cast<int64_t>(values.size()));
    queue().Return(std::move(values));
  }

  bool Close() override {
    if (!queue().Close()) return false;
    hub_->Sweep();
    return true;
  }
  bool closed() const override { return queue().closed(); }
  bool drained() const override { return queue().drained(); }

  ChannelStats Stats() const override {
    ChannelStats stats = queue().Stats();
    stats.dropped = subscription_->dropped();
    stats.received -= stats.dropped;
    return stats;
  }
  size_t SizeGuess() const override { return queue().SizeGuess(); }
  size_t capacity() const override { return queue().capacity(); }

  WatchId Watch(Direction direction, std::shared_ptr<Watcher> watcher) override {
    if (direction == Direction::kRecv) return queue().Watch(direction, std::move(watcher));
    watcher->Ready();  // it sends nothing, and says so at once
    return {};
  }
  bool Unwatch(const WatchId& id) override { return queue().Unwatch(id); }
  void Enlist(SelectEntry& entry) override { queue().Enlist(entry); }
  bool Delist(SelectEntry& entry) override { return queue().Delist(entry); }
  bool MayTry(const SelectEntry& entry) const override {
    return entry.direction == Direction::kSend || static_cast<const Channel&>(queue()).MayTry(entry);
  }
  void PassOn(Direction direction) override { queue().PassOn(direction); }

 private:
  QueueChannel<Atom>& queue() const { return subscription_->queue(); }

  Outcome Freed(Outcome outcome, size_t count) {
    if (outcome == Outcome::kDone && count > 0 && subscription_->blocks()) {
      subscription_->GiveRoom(static_cast<int64_t>(count));
      hub_->senders().Notify(Published::kAnyhow);
    }
    return outcome;
  }

  const Ref<BroadcastHub<Atom>> hub_;
  const Ref<Subscription<Atom>> subscription_;
};

template <template <typename> class Atom>
class BroadcastChannel final : public WaitingChannel<Atom> {
 public:
  explicit BroadcastChannel(std::string name)
      : WaitingChannel<Atom>(std::move(name)), hub_(MakeRef<BroadcastHub<Atom>>()) {}
  ~BroadcastChannel() override { hub_->Close(); }

  Outcome TrySend(Value& value) override {
    if (hub_->closed()) return Outcome::kClosed;
    // First without taking anything: senders who wait for one subscriber disturb nobody.
    if (!MayTry(Direction::kSend)) return Outcome::kFull;
    Targets targets;
    hub_->ForEach([&](const auto& target) { targets.push_back(target); });
    if (!TakeRoom(targets)) return Outcome::kFull;
    size_t delivered = 0;
    for (const auto& target : targets) delivered += target->Deliver(value.Share());
    if (delivered < targets.size()) hub_->Sweep();
    if (delivered == 0 && hub_->closed()) return Outcome::kClosed;
    value = Value();
    sent_.fetch_add(1, std::memory_order_relaxed);  // relaxed: a statistic
    return Outcome::kDone;
  }

  Outcome TryRecv(Value*) override { return Outcome::kClosed; }
  void Return(std::vector<Value>) override {}

  bool Close() override {
    if (!hub_->Close()) return false;
    hub_->senders().NotifyAll();
    return true;
  }
  bool closed() const override { return hub_->closed(); }
  bool drained() const override { return hub_->closed(); }

  Ref<Channel> Subscribe(const SubscribeOptions& options) override {
    auto subscription = MakeRef<Subscription<Atom>>(options, this->name());
    hub_->Add(subscription);
    // Close may have passed by it.
    if (hub_->closed()) {
      subscription->queue().Close();
      hub_->Sweep();
    }
    return MakeRef<SubscriberChannel<Atom>>(hub_, std::move(subscription), this->name());
  }

  ChannelStats Stats() const override {
    ChannelStats stats;
    stats.sent = sent_.load(std::memory_order_relaxed);  // relaxed: a statistic
    stats.closed = closed();
    hub_->ForEach([&](const auto& target) {
      ++stats.subscribers;
      stats.dropped += target->dropped();
    });
    return stats;
  }
  size_t SizeGuess() const override { return 0; }
  bool broadcast() const override { return true; }
  size_t capacity() const override { return 0; }

 private:
  using Targets = absl::InlinedVector<Ref<Subscription<Atom>>, 8>;

  // With all of them, or with none.
  bool TakeRoom(const Targets& targets) {
    for (size_t i = 0; i < targets.size(); ++i) {
      if (!targets[i]->blocks() || targets[i]->TakeRoom()) continue;
      bool gave = false;
      while (i > 0) {
        if (!targets[--i]->blocks()) continue;
        targets[i]->GiveRoom(1);
        gave = true;
      }
      // Another may have found no room because of ours.
      if (gave) hub_->senders().Notify(Published::kAnyhow);
      return false;
    }
    return true;
  }

  Outcome TrySendMany(absl::Span<Value> values, size_t* count) override {
    for (*count = 0; *count < values.size(); ++*count) {
      const Outcome outcome = TrySend(values[*count]);
      if (outcome != Outcome::kDone) return outcome;
    }
    return Outcome::kDone;
  }
  Outcome TryRecvMany(Value*, size_t, size_t* count) override {
    *count = 0;
    return Outcome::kClosed;
  }
  bool MayTry(Direction direction) const override {
    if (direction == Direction::kRecv || hub_->closed()) return true;
    bool full = false;
    hub_->ForEach([&](const auto& target) { full |= target->blocks() && !target->HasRoom(); });
    return !full;
  }
  WaitSide<Atom>& SideOf(Direction) override { return hub_->senders(); }

  const Ref<BroadcastHub<Atom>> hub_;
  Atom<uint64_t> sent_{0};
};

}  // namespace interpd::channels

#endif  // INTERPD_CHANNELS_BROADCAST_CHANNEL_H_
