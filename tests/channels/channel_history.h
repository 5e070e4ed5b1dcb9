// What threads did to a channel and saw, and the plain queue that must explain it.
//
// Who includes this: the linearizability test and the model tests of channels.
#ifndef INTERPD_TESTS_CHANNELS_CHANNEL_HISTORY_H_
#define INTERPD_TESTS_CHANNELS_CHANNEL_HISTORY_H_

#include <cstdint>
#include <deque>
#include <string>
#include <utility>

#include "channels/channel.h"
#include "channels/value.h"
#include "tests/testing/linearizability.h"

namespace interpd::channels {

// A bounded queue that can be closed. A call that timed out found it full (empty).
class ChannelModel {
 public:
  enum class Verb { kSend, kRecv, kClose };
  struct Operation {
    Verb verb;
    int64_t number = 0;  // what is sent
  };
  struct Result {
    Outcome outcome = Outcome::kDone;
    int64_t number = 0;  // what was received
  };

  explicit ChannelModel(size_t capacity) : capacity_(capacity) {}

  std::string Key() const {
    std::string key = closed_ ? "closed" : "open";
    for (int64_t number : queue_) key += ',' + std::to_string(number);
    return key;
  }

  bool Step(const Operation& operation, const Result& result) {
    switch (operation.verb) {
      case Verb::kSend:
        if (closed_) return result.outcome == Outcome::kClosed;
        if (queue_.size() == capacity_) {
          return result.outcome == Outcome::kFull || result.outcome == Outcome::kTimeout;
        }
        queue_.push_back(operation.number);
        return result.outcome == Outcome::kDone;
      case Verb::kRecv: {
        if (queue_.empty()) {
          return closed_ ? result.outcome == Outcome::kClosed
                         : result.outcome == Outcome::kEmpty || result.outcome == Outcome::kTimeout;
        }
        const int64_t oldest = queue_.front();
        queue_.pop_front();
        return result.outcome == Outcome::kDone && result.number == oldest;
      }
      case Verb::kClose: return (result.outcome == Outcome::kDone) == !std::exchange(closed_, true);
    }
    return false;
  }

  static std::string ToString(const Operation& operation, const Result& result) {
    static const char* const kOutcomes[] = {"done", "full", "empty", "timeout", "closed", "interrupted"};
    const std::string outcome = kOutcomes[static_cast<int>(result.outcome)];
    switch (operation.verb) {
      case Verb::kSend: return "send " + std::to_string(operation.number) + ": " + outcome;
      case Verb::kRecv: return "recv: " + outcome + " " + std::to_string(result.number);
      case Verb::kClose: return "close: " + outcome;
    }
    return "";
  }

 private:
  size_t capacity_;
  std::deque<int64_t> queue_;
  bool closed_ = false;
};

using ChannelHistory = testing::History<ChannelModel>;

// Calls on one channel by numbered threads, written down.
class RecordedChannel {
 public:
  RecordedChannel(Channel& in, Channel& out, int threads) : in_(in), out_(out), history_(threads) {}

  template <typename F>
  Outcome Send(int thread, int64_t number, F call) {
    Value value = Value::Int(number);
    history_.Begin(thread, {ChannelModel::Verb::kSend, number});
    const Outcome outcome = call(value);
    history_.End(thread, {outcome, 0});
    return outcome;
  }
  Outcome TrySend(int thread, int64_t number) {
    return Send(thread, number, [&](Value& value) { return in_.TrySend(value); });
  }
  Outcome Send(int thread, int64_t number, const Wait& wait) {
    return Send(thread, number, [&](Value& value) { return in_.Send(value, wait); });
  }

  template <typename F>
  Outcome Recv(int thread, F call) {
    Value value;
    history_.Begin(thread, {ChannelModel::Verb::kRecv});
    const Outcome outcome = call(&value);
    history_.End(thread, {outcome, outcome == Outcome::kDone ? ValueReader(value).Next().int_value : 0});
    return outcome;
  }
  Outcome TryRecv(int thread) {
    return Recv(thread, [&](Value* value) { return out_.TryRecv(value); });
  }
  Outcome Recv(int thread, const Wait& wait) {
    return Recv(thread, [&](Value* value) { return out_.Recv(value, wait); });
  }

  void Close(int thread) {
    history_.Begin(thread, {ChannelModel::Verb::kClose});
    history_.End(thread, {in_.Close() ? Outcome::kDone : Outcome::kClosed, 0});
  }

  std::string Check(size_t capacity) const { return history_.Check(ChannelModel(capacity)); }

 private:
  Channel& in_;
  Channel& out_;
  ChannelHistory history_;
};

}  // namespace interpd::channels

#endif  // INTERPD_TESTS_CHANNELS_CHANNEL_HISTORY_H_
