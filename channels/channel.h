// Channel: Values from any threads to any threads, first in, first out.
//
// Who includes this: whatever sends or receives: hosted code (interp/host_module), the API (daemon/channels_service).
//
//   Ref<Channel> channel = Channel::Make({.capacity = 64});
//   Value value = Value::Int(7);
//   if (channel->Send(value, {}) == Outcome::kDone) ...       // one thread
//   if (channel->Recv(&value, {}) == Outcome::kDone) ...      // another
//
// Flavours, behind this one face; channels/README.md tells what each guarantees:
//   queue       capacity >= 1. Linearizable, lock-free. The default.
//   rendezvous  capacity 0: a send is done when a receiver takes the value, or has been told to come for it (Watch).
//   broadcast   what is sent goes to each subscriber (Subscribe), who receives from an end of its own.
//
// A channel belongs to the process: what an interpreter or a client has sent stays when it goes. It is destroyed, with
// the values in it, by whoever drops the last Ref. A channel that lies in itself is a cycle and stays until it is
// closed and drained.
//
// Thread safety: all methods, any thread. Memory ordering: what a thread did before it sent a value is visible to who
// receives it; what it did before Close, to who gets kClosed.
#ifndef INTERPD_CHANNELS_CHANNEL_H_
#define INTERPD_CHANNELS_CHANNEL_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "channels/deadline.h"
#include "channels/interrupt.h"
#include "channels/shared.h"
#include "channels/value.h"

namespace interpd::channels {

enum class Outcome {
  kDone,
  kFull,         // a try to send: no room; a rendezvous: no receiver waits
  kEmpty,        // a try to receive: nothing there; a rendezvous: no sender waits
  kTimeout,      // the deadline passed first
  kClosed,       // to senders: since it was closed; to receivers: closed, and all that was sent has been received
  kInterrupted,  // Wait::interrupt was raised
};

enum class Direction : uint8_t { kSend, kRecv };

// How long a call may wait. The default: for ever.
struct Wait {
  Deadline deadline;  // one that has passed: a try that answers kTimeout
  // `ticket` is what interrupt->ticket() was before the caller last looked whether it should stop: an interrupt raised
  // after that ends the wait.
  Interrupt* interrupt = nullptr;
  uint32_t ticket = 0;
};

// Told once that a channel may be ready.
class Watcher {
 public:
  virtual ~Watcher() = default;
  // Called at most once for each Watch, on the thread that made the channel ready, in the midst of its send, receive or
  // close. Must not block, use a channel, touch file descriptors, or call gRPC or Python.
  virtual void Ready() = 0;
};

// Names an armed watch. The default names none.
struct WatchId {
  void* place = nullptr;
  uint64_t version = 0;
  Direction direction = Direction::kRecv;
  explicit operator bool() const { return place != nullptr; }
};

struct ChannelOptions {
  size_t capacity = 1024;  // exact; 0 to Channel::kMaxCapacity. Broadcast: not used
  bool broadcast = false;
  std::string name;  // for people
};

// What becomes of a subscriber that does not keep up.
enum class SlowSubscriber {
  kBlock,       // senders wait until it has room
  kDropOldest,  // it loses the oldest value it has not received
  kDisconnect,  // its end is closed: it drains, then gets kClosed
};

struct SubscribeOptions {
  size_t capacity = 1024;  // values that it may lag behind; 1 to Channel::kMaxCapacity
  SlowSubscriber slow = SlowSubscriber::kBlock;
};

// Numbers of one moment, each right by itself, not all of the very same moment.
struct ChannelStats {
  uint64_t sent = 0;      // values taken in since the beginning
  uint64_t received = 0;  // values given out, those later returned included, and those that Discard destroyed
  uint64_t returned = 0;  // values that came back by Return
  uint64_t dropped = 0;   // values that slow subscribers lost
  size_t size = 0;
  size_t capacity = 0;
  size_t subscribers = 0;
  bool closed = false;
};

class SelectEntry;

class Channel : public Shared {
 public:
  static constexpr size_t kMaxCapacity = size_t{1} << 24;

  // Requires: options.capacity <= kMaxCapacity.
  static Ref<Channel> Make(const ChannelOptions& options);

  // ---- sending: on kDone the values have been moved from; otherwise they are untouched --------------------------

  // kDone, kFull, kClosed. Never blocks.
  virtual Outcome TrySend(Value& value) = 0;
  // Waits while there is no room: kDone, kClosed, kTimeout, kInterrupted.
  virtual Outcome Send(Value& value, const Wait& wait) = 0;
  // Sends one after the other, and others' may come between. *sent is how many went, whatever the outcome: kDone when
  // all did.
  virtual Outcome SendMany(absl::Span<Value> values, size_t* sent, const Wait& wait) = 0;

  // ---- receiving ---------------------------------------------------------------------------------------------------

  // kDone, kEmpty, kClosed. Never blocks.
  virtual Outcome TryRecv(Value* value) = 0;
  // As TryRecv, but tries again for a moment (5 us at most) where that has paid lately: for who must prepare for a
  // wait, and is spared that when the value is on its way.
  virtual Outcome PollRecv(Value* value) { return TryRecv(value); }
  // Waits while nothing is there: kDone, kClosed, kTimeout, kInterrupted.
  virtual Outcome Recv(Value* value, const Wait& wait) = 0;
  // Waits for one value, then takes what is there, at most `max` in all, and appends it to *values. kDone: one or more,
  // or max is 0.
  virtual Outcome RecvMany(size_t max, std::vector<Value>* values, const Wait& wait) = 0;

  // Puts values that were received back to the head, in their order, before all others; the capacity does not count.
  // For who delivers further and was not told that they arrived. A receive that is under way meanwhile may still take
  // a value behind them. Works on a closed channel too: receives that come after it get them.
  virtual void Return(std::vector<Value> values) = 0;

  // ---- life --------------------------------------------------------------------------------------------------------

  // True for the one call that closed it. Senders get kClosed from now on; a send that said kDone is received, or still
  // there. Receivers get what is there, then kClosed. Whoever waits wakes.
  virtual bool Close() = 0;
  // Closes it, and destroys what is there.
  void Discard();
  virtual bool closed() const = 0;
  // Closed, and nothing left to receive.
  virtual bool drained() const = 0;

  // Broadcast: an end that receives whatever is sent from now on; null for other flavours. Dropping the last reference
  // to the end, or closing it, unsubscribes. The broadcast channel itself receives nothing (kClosed), the end sends
  // nothing (kClosed). Requires: 1 <= options.capacity <= kMaxCapacity.
  virtual Ref<Channel> Subscribe(const SubscribeOptions&) { return nullptr; }

  virtual bool broadcast() const { return false; }

  virtual ChannelStats Stats() const = 0;
  virtual size_t SizeGuess() const = 0;
  // Broadcast: 0.
  virtual size_t capacity() const = 0;
  const std::string& name() const { return name_; }

  // ---- waiting without a thread ------------------------------------------------------------------------------------

  // Calls watcher->Ready() once, when a try in that direction may succeed, or the channel is closed: at once, and then
  // returns no id, if that is so now. Many watchers may be told of one value; who finds nothing watches again. The
  // watcher is dropped after the call, or by Unwatch. The caller keeps the channel alive meanwhile.
  virtual WatchId Watch(Direction direction, std::shared_ptr<Watcher> watcher) = 0;
  // True: Ready was not called and will not be. False: it was, or is being called. `id` may name no watch: false.
  virtual bool Unwatch(const WatchId& id) = 0;

  // ---- for Select (select.h) ---------------------------------------------------------------------------------------

  // Puts a waiting select on the list, from where it is told, or a rendezvous is made with it.
  virtual void Enlist(SelectEntry& entry) = 0;
  // Takes it off. Whoever was told (the answer is true) and does not try calls PassOn.
  virtual bool Delist(SelectEntry& entry) = 0;
  // Whether a try may succeed, by another than `entry`'s own waiter.
  virtual bool MayTry(const SelectEntry& entry) const = 0;
  // Tells another waiter, if there is something for it.
  virtual void PassOn(Direction direction) = 0;

 protected:
  explicit Channel(std::string name) : name_(std::move(name)) {}

 private:
  const std::string name_;
};

}  // namespace interpd::channels

#endif  // INTERPD_CHANNELS_CHANNEL_H_
