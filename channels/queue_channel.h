// QueueChannel: the flavour with a buffer; a ring, and who waits for it.
//
// Who includes this: channel.cc, broadcast_channel.h; tests of all interleavings, with their Atom.
//
// Guarantees: what channel.h says, and: linearizable and lock-free as the ring is (mpmc_ring.h): a thread that stops
// anywhere in a try stops nobody else, its notifications included (wait_side.h). Return is the exception: a receive
// that overlaps it may take a value from behind the returned ones. Nobody waits: no system call.
//
// Close lies in the ring itself, as a mark on the first ticket that will not be taken: so there is no moment between
// "is it open" and the push. Receivers see the mark when they come to that ticket: then nothing can follow.
//
// Thread safety: all methods, any thread.
#ifndef INTERPD_CHANNELS_QUEUE_CHANNEL_H_
#define INTERPD_CHANNELS_QUEUE_CHANNEL_H_

#include <atomic>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "channels/channel.h"
#include "channels/mpmc_ring.h"
#include "channels/returned_values.h"
#include "channels/wait_side.h"
#include "channels/waiting_channel.h"

namespace interpd::channels {

template <template <typename> class Atom>
class QueueChannel final : public WaitingChannel<Atom> {
 public:
  QueueChannel(size_t capacity, std::string name) : WaitingChannel<Atom>(std::move(name)), ring_(capacity) {}

  Outcome TrySend(Value& value) override {
    if (ring_.TryPush(value)) {
      receivers_.Notify(Published::kSeqCst);
      return Outcome::kDone;
    }
    return WhyNoPush();
  }

  Outcome TryRecv(Value* value) override {
    while (true) {
      if (!returned_.empty() && returned_.Take(value)) return Outcome::kDone;
      if (ring_.TryPop(value)) {
        senders_.Notify(Published::kSeqCst);
        return Outcome::kDone;
      }
      const bool drained = ring_.PopState() == State::kClosed;
      if (returned_.empty()) return drained ? Outcome::kClosed : Outcome::kEmpty;
    }
  }

  void Return(std::vector<Value> values) override {
    if (values.empty()) return;
    returned_.Put(std::move(values));
    receivers_.Notify(Published::kAnyhow);
  }

  bool Close() override {
    if (!ring_.Close()) return false;
    senders_.NotifyAll();
    receivers_.NotifyAll();
    return true;
  }
  bool closed() const override { return ring_.PushState() == State::kClosed; }
  bool drained() const override { return ring_.PopState() == State::kClosed && returned_.empty(); }

  ChannelStats Stats() const override {
    ChannelStats stats;
    stats.sent = ring_.pushed();
    stats.received = ring_.popped() + returned_.taken();
    stats.returned = returned_.put();
    stats.size = SizeGuess();
    stats.capacity = capacity();
    stats.closed = closed();
    return stats;
  }
  size_t SizeGuess() const override { return ring_.SizeGuess() + returned_.SizeGuess(); }
  size_t capacity() const override { return ring_.capacity(); }

 private:
  using Ring = MpmcRing<Value, Atom>;
  using State = typename Ring::State;

  Outcome WhyNoPush() const { return ring_.PushState() == State::kClosed ? Outcome::kClosed : Outcome::kFull; }

  Outcome TrySendMany(absl::Span<Value> values, size_t* count) override {
    *count = ring_.TryPushMany(values.data(), values.size());
    if (*count > 0) receivers_.Notify(Published::kSeqCst);
    return *count == values.size() ? Outcome::kDone : WhyNoPush();
  }

  Outcome TryRecvMany(Value* values, size_t max, size_t* count) override {
    *count = 0;
    while (*count < max && !returned_.empty() && returned_.Take(values + *count)) ++*count;
    const size_t popped = ring_.TryPopMany(values + *count, max - *count);
    if (popped > 0) senders_.Notify(Published::kSeqCst);
    *count += popped;
    if (*count > 0) return Outcome::kDone;
    const Outcome outcome = TryRecv(values);
    *count = outcome == Outcome::kDone;
    return outcome;
  }

  bool MayTry(Direction direction) const override {
    if (direction == Direction::kSend) return ring_.PushState() != State::kFull;
    return !returned_.empty() || ring_.PopState() != State::kEmpty;
  }
  WaitSide<Atom>& SideOf(Direction direction) override { return direction == Direction::kSend ? senders_ : receivers_; }

  Ring ring_;
  ReturnedValues<Atom> returned_;
  WaitSide<Atom> senders_;
  WaitSide<Atom> receivers_;
};

}  // namespace interpd::channels

#endif  // INTERPD_CHANNELS_QUEUE_CHANNEL_H_
