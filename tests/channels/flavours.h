// The flavours of channels, as the conformance tests see them: an end to send to and one to receive from.
//
// Who includes this: tests that run over every flavour.
#ifndef INTERPD_TESTS_CHANNELS_FLAVOURS_H_
#define INTERPD_TESTS_CHANNELS_FLAVOURS_H_

#include <cstdint>
#include <ostream>
#include <string>
#include <utility>

#include "channels/channel.h"
#include "channels/shared.h"
#include "channels/value.h"

namespace interpd::channels {

struct Flavour {
  enum Kind { kQueue, kRendezvous, kBroadcast } kind;
  size_t capacity;
};

inline void PrintTo(const Flavour& flavour, std::ostream* out) {
  const char* names[] = {"Queue", "Rendezvous", "Broadcast"};
  *out << names[flavour.kind] << flavour.capacity;
}

inline const Flavour kAllFlavours[] = {{Flavour::kQueue, 1},      {Flavour::kQueue, 3},     {Flavour::kQueue, 64},
                                       {Flavour::kRendezvous, 0}, {Flavour::kBroadcast, 1}, {Flavour::kBroadcast, 7}};
inline const Flavour kBufferedFlavours[] = {{Flavour::kQueue, 1},
                                            {Flavour::kQueue, 3},
                                            {Flavour::kQueue, 64},
                                            {Flavour::kBroadcast, 1},
                                            {Flavour::kBroadcast, 7}};

// The two ends; one channel, but for broadcast with its one subscriber.
struct Pipe {
  explicit Pipe(const Flavour& flavour)
      : in(Channel::Make({.capacity = flavour.capacity, .broadcast = flavour.kind == Flavour::kBroadcast})),
        out(flavour.kind == Flavour::kBroadcast ? in->Subscribe({.capacity = flavour.capacity}) : in) {}

  Ref<Channel> in;
  Ref<Channel> out;
};

inline Outcome TrySendInt(Channel& channel, int64_t number) {
  Value value = Value::Int(number);
  return channel.TrySend(value);
}

inline Outcome SendInt(Channel& channel, int64_t number, const Wait& wait = {}) {
  Value value = Value::Int(number);
  return channel.Send(value, wait);
}

inline int64_t IntOf(const Value& value) { return ValueReader(value).Next().int_value; }

// -1: nothing was received.
inline int64_t TryRecvInt(Channel& channel) {
  Value value;
  return channel.TryRecv(&value) == Outcome::kDone ? IntOf(value) : -1;
}

inline int64_t RecvInt(Channel& channel, const Wait& wait = {}) {
  Value value;
  return channel.Recv(&value, wait) == Outcome::kDone ? IntOf(value) : -1;
}

inline Wait For(absl::Duration duration) { return {.deadline = Deadline::After(duration)}; }

// Something of which tests count how many there are.
class Counted : public Shared {
 public:
  static Value Make() { return Value::Channel(MakeRef<Counted>()); }
};

}  // namespace interpd::channels

#endif  // INTERPD_TESTS_CHANNELS_FLAVOURS_H_
