// RendezvousChannel: the flavour without a buffer: a send and a receive are done together.
//
// Who includes this: channel.cc; tests of all interleavings, with their Atom.
//
// Who finds nobody waiting on the other side lists itself and sleeps (basic_select.h); who comes later moves the value
// between the two threads' own memory. Those who wait longest are met first. Who waits by Watch has no value's place to
// move into, nor a value to give: so a sender that finds a receiver's watch leaves the value in `handed`, tells that
// receiver, and is done; should it not come, the next receiver gets the value.
//
// Guarantees: linearizable. A thread that stops in the midst of a rendezvous stops its partner and nobody else; see
// basic_select.h for selects that begin at once. After Close: a send that was done before is received or in `handed`,
// whose ring says when it is closed and drained (mpmc_ring.h).
//
// Thread safety: all methods, any thread.
#ifndef INTERPD_CHANNELS_RENDEZVOUS_CHANNEL_H_
#define INTERPD_CHANNELS_RENDEZVOUS_CHANNEL_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "channels/basic_select.h"
#include "channels/channel.h"
#include "channels/listeners.h"
#include "channels/mpmc_ring.h"
#include "channels/returned_values.h"

namespace interpd::channels {

template <template <typename> class Atom>
class RendezvousChannel final : public Channel {
 public:
  explicit RendezvousChannel(std::string name) : Channel(std::move(name)) {}

  Outcome TrySend(Value& value) override {
    if (closed()) return Outcome::kClosed;
    if (receivers_.Meet(NothingHanded(), [&](Value* theirs) { *theirs = std::move(value); })) {
      met_.fetch_add(1, std::memory_order_relaxed);  // relaxed: a statistic
      return Outcome::kDone;
    }
    return HandOver(value);
  }

  Outcome TryRecv(Value* value) override {
    while (true) {
      if (!returned_.empty() && returned_.Take(value)) return Outcome::kDone;
      if (handed_.TryPop(value)) {
        senders_.Notify(Published::kSeqCst);
        return Outcome::kDone;
      }
      if (senders_.Meet(NothingHanded(), [&](Value* theirs) { *value = std::move(*theirs); })) {
        met_.fetch_add(1, std::memory_order_relaxed);  // relaxed: a statistic
        return Outcome::kDone;
      }
      const State state = handed_.PopState();
      if (state == State::kReady || !returned_.empty()) continue;
      return state == State::kClosed ? Outcome::kClosed : Outcome::kEmpty;
    }
  }

  Outcome Send(Value& value, const Wait& wait) override { return One(Direction::kSend, &value, wait); }
  Outcome Recv(Value* value, const Wait& wait) override { return One(Direction::kRecv, value, wait); }

  Outcome SendMany(absl::Span<Value> values, size_t* sent, const Wait& wait) override {
    for (*sent = 0; *sent < values.size(); ++*sent) {
      const Outcome outcome = Send(values[*sent], wait);
      if (outcome != Outcome::kDone) return outcome;
    }
    return Outcome::kDone;
  }

  Outcome RecvMany(size_t max, std::vector<Value>* values, const Wait& wait) override {
    if (max == 0) return Outcome::kDone;
    Value value;
    const Outcome outcome = Recv(&value, wait);
    if (outcome != Outcome::kDone) return outcome;
    do {
      values->push_back(std::move(value));
    } while (--max > 0 && TryRecv(&value) == Outcome::kDone);
    return Outcome::kDone;
  }

  void Return(std::vector<Value> values) override {
    if (values.empty()) return;
    returned_.Put(std::move(values));
    receivers_.Notify(Published::kAnyhow);
  }

  bool Close() override {
    if (!handed_.Close()) return false;
    senders_.NotifyAll();
    receivers_.NotifyAll();
    return true;
  }
  bool closed() const override { return handed_.PushState() == State::kClosed; }
  bool drained() const override { return handed_.PopState() == State::kClosed && returned_.empty(); }

  ChannelStats Stats() const override {
    ChannelStats stats;
    const uint64_t met = met_.load(std::memory_order_relaxed);  // relaxed: a statistic
    stats.sent = met + handed_.pushed();
    stats.received = met + handed_.popped() + returned_.taken();
    stats.returned = returned_.put();
    stats.size = SizeGuess();
    stats.closed = closed();
    return stats;
  }
  size_t SizeGuess() const override { return handed_.SizeGuess() + returned_.SizeGuess(); }
  size_t capacity() const override { return 0; }

  WatchId Watch(Direction direction, std::shared_ptr<Watcher> watcher) override {
    Listeners<Atom>& listeners = SideOf(direction);
    const WatchId id = listeners.Watch(direction, std::move(watcher));
    if (MayTry(direction, nullptr)) {
      if (std::shared_ptr<Watcher> mine = listeners.Unwatch(id)) mine->Ready();
      return {};
    }
    // A sender that watches can now hand over.
    if (direction == Direction::kRecv) senders_.TellWatchers();
    return id;
  }
  bool Unwatch(const WatchId& id) override { return SideOf(id.direction).Unwatch(id) != nullptr; }

  void Enlist(SelectEntry& entry) override {
    SideOf(entry.direction).Enlist(entry);
    // Who watches for the other direction can now meet this one.
    SideOf(entry.direction == Direction::kSend ? Direction::kRecv : Direction::kSend).TellWatchers();
  }
  bool Delist(SelectEntry& entry) override { return SideOf(entry.direction).Delist(entry); }
  bool MayTry(const SelectEntry& entry) const override { return MayTry(entry.direction, entry.waiter); }
  void PassOn(Direction direction) override {
    if (MayTry(direction, nullptr)) SideOf(direction).PassOn();
  }

 private:
  using Ring = MpmcRing<Value, Atom>;
  using State = typename Ring::State;

  static constexpr size_t kHanded = 64;

  Outcome One(Direction direction, Value* value, const Wait& wait) {
    const SelectCase one = {this, direction, value};
    size_t chosen;
    return BasicSelect<Atom>(absl::MakeConstSpan(&one, 1), &chosen).Run(wait, WithDefault::kNo);
  }

  // For Meet: no value overtakes one that was handed over before it was sent.
  auto NothingHanded() const {
    return [this] { return handed_.PopState() != State::kReady; };
  }

  Outcome HandOver(Value& value) {
    if (std::shared_ptr<Watcher> receiver = receivers_.TakeOneWatcher()) {
      const bool handed = handed_.TryPush(value);
      receiver->Ready();
      // Should that one not come: a receiver that has listed itself since.
      receivers_.PassOn();
      if (handed) return Outcome::kDone;
    }
    return closed() ? Outcome::kClosed : Outcome::kFull;
  }

  // Whether another than `except` would find something.
  bool MayTry(Direction direction, const SelectWaiter* except) const {
    if (direction == Direction::kSend) {
      if (closed() || receivers_.HasWatcher()) return true;
      return handed_.PopState() != State::kReady && receivers_.HasSelect(except);
    }
    return !returned_.empty() || handed_.PopState() != State::kEmpty || senders_.HasSelect(except);
  }

  Listeners<Atom>& SideOf(Direction direction) { return direction == Direction::kSend ? senders_ : receivers_; }

  Ring handed_{kHanded};
  ReturnedValues<Atom> returned_;
  Listeners<Atom> senders_;
  Listeners<Atom> receivers_;
  Atom<uint64_t> met_{0};
};

}  // namespace interpd::channels

#endif  // INTERPD_CHANNELS_RENDEZVOUS_CHANNEL_H_
