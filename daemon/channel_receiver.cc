#include "daemon/channel_receiver.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "daemon/channel_proto.h"
#include "daemon/errors.h"
#include "daemon/value_batch.h"

namespace interpd::daemon {
namespace {

using channels::Outcome;
using channels::Value;

constexpr int64_t kMaxCredit = int64_t{1} << 20;
constexpr size_t kMaxUnacknowledged = 65536;

// A message of values is full at either of these.
constexpr size_t kMaxValues = 4096;
constexpr int64_t kMaxBytes = 1 << 20;

// What the stream's message adds to a value, at most: a large one must still fit the client's limit.
constexpr int64_t kEnvelopeBytes = 64;

}  // namespace

ChannelReceiver::ChannelReceiver(ServerState& state, std::function<void()> on_ready)
    : state_(state), on_ready_(std::move(on_ready)), watch_(state, [this] { on_ready_(); }) {}

ChannelReceiver::~ChannelReceiver() { GiveBack(); }

absl::Status ChannelReceiver::Attach(ChannelNames& names, std::string_view name, std::string_view field,
                                     Acknowledge acknowledge, const v1::Subscription* subscription, int64_t max_bytes) {
  absl::StatusOr<channels::Ref<channels::Channel>> found = FindChannel(state_, names, name, field);
  if (!found.ok()) return found.status();
  if ((*found)->broadcast()) {
    if (acknowledge == Acknowledge::kYes) {
      return InvalidField("options.acknowledge", "is not for a broadcast, to which nothing can go back");
    }
    absl::StatusOr<channels::SubscribeOptions> options =
        DecodeSubscription(subscription == nullptr ? v1::Subscription() : *subscription, "options.subscription");
    if (!options.ok()) return options.status();
    broadcast_ = *std::move(found);
    channel_ = broadcast_->Subscribe(*options);
  } else {
    if (subscription != nullptr) return InvalidField("options.subscription", "is for a broadcast only");
    channel_ = *std::move(found);
  }
  names_ = &names;
  name_ = name;
  acknowledge_ = acknowledge;
  max_bytes_ = max_bytes;
  return absl::OkStatus();
}

absl::Status ChannelReceiver::Grant(int64_t credit) {
  if (credit < 0) return InvalidField("credit", "is negative");
  if (credit > kMaxCredit - credit_) {
    return InvalidField("credit", absl::StrCat("would make more than ", kMaxCredit, " values owed"));
  }
  credit_ += credit;
  return absl::OkStatus();
}

absl::Status ChannelReceiver::Settle(int64_t number) {
  if (number == 0) return absl::OkStatus();
  if (acknowledge_ == Acknowledge::kNo) {
    return InvalidField("acknowledged_number", "is for a stream that was begun with `acknowledge`");
  }
  if (number < 0 || number > taken_) {
    return InvalidField("acknowledged_number", absl::StrCat("is ", number, "; ", taken_, " values were sent"));
  }
  // What was acknowledged before may be said again.
  const int64_t first = taken_ - static_cast<int64_t>(unacknowledged_.size()) + 1;
  if (number < first) return absl::OkStatus();
  const int64_t count = number - first + 1;
  unacknowledged_.erase(unacknowledged_.begin(), unacknowledged_.begin() + count);
  state_.channel_clients.Settled(channel_.get(), count);
  return absl::OkStatus();
}

void ChannelReceiver::ClientEnded() {
  client_ended_ = true;
  // It cannot acknowledge any more, so there is no use in sending more.
  if (acknowledge_ == Acknowledge::kYes) stopped_ = true;
}

absl::StatusOr<bool> ChannelReceiver::Fill(v1::ValueBatch* values) {
  BatchWriter writer(*names_, values);
  for (;;) {
    absl::StatusOr<bool> more = TakeOne(writer);
    // What is good goes out first; what is wrong is met again.
    if (!more.ok() && writer.count() == 0) return more.status();
    if (!more.ok() || !*more) return writer.count() > 0;
  }
}

absl::StatusOr<bool> ChannelReceiver::TakeOne(BatchWriter& writer) {
  if (credit_ == 0 || stopped_) {
    if (stopped_ || (client_ended_ && acknowledge_ == Acknowledge::kNo)) ended_ = true;
    return false;
  }
  if (writer.count() == kMaxValues || unacknowledged_.size() == kMaxUnacknowledged) return false;
  Value value;
  if (held_) {
    value = *std::exchange(held_, std::nullopt);
  } else if (Outcome outcome = channel_->TryRecv(&value); outcome != Outcome::kDone) {
    if (writer.count() > 0) return false;  // when this is written, it asks again
    absl::Status waits = WaitForMore(outcome);
    if (!waits.ok()) return waits;
    return false;
  }
  absl::Status status = writer.Append(value);
  if (!status.ok()) {
    held_ = std::move(value);
    return status;
  }
  const int64_t bytes = static_cast<int64_t>(writer.bytes());
  const int64_t limit = max_bytes_ - kEnvelopeBytes;
  if (bytes > (writer.count() > 1 ? std::min(kMaxBytes, limit) : limit)) {
    writer.RemoveLast();
    held_ = std::move(value);
    if (writer.count() > 0) return false;
    return MessageTooLarge("the next value of the channel", bytes, limit);
  }
  --credit_;
  ++taken_;
  if (acknowledge_ == Acknowledge::kYes) {
    unacknowledged_.push_back(std::move(value));
    state_.channel_clients.Delivered(channel_);
  }
  return true;
}

absl::Status ChannelReceiver::WaitForMore(Outcome outcome) {
  if (outcome != Outcome::kClosed) {
    if (!watch_.armed()) watch_.Arm(channel_, channels::Direction::kRecv);
  } else if (broadcast_ != nullptr && !broadcast_->closed()) {
    return SubscriberTooSlow(name_, channel_->capacity());
  } else if (state_.channel_clients.Counts(channel_.get()).unacknowledged >
             static_cast<int64_t>(unacknowledged_.size())) {
    // What other clients have not acknowledged may come back.
    state_.channel_clients.Forget(this);
    state_.channel_clients.Wait(channel_.get(), this);
  } else {
    ended_ = true;
  }
  return absl::OkStatus();
}

int64_t ChannelReceiver::dropped_count() const {
  return broadcast_ == nullptr || channel_ == nullptr ? 0 : static_cast<int64_t>(channel_->Stats().dropped);
}

void ChannelReceiver::GiveBack() {
  if (channel_ == nullptr) return;
  stopped_ = true;
  watch_.Disarm();
  state_.channel_clients.Forget(this);
  std::vector<Value> values;
  values.reserve(unacknowledged_.size() + 1);
  for (Value& value : unacknowledged_) values.push_back(std::move(value));
  if (held_) values.push_back(*std::exchange(held_, std::nullopt));
  const int64_t unacknowledged = static_cast<int64_t>(unacknowledged_.size());
  unacknowledged_.clear();
  if (!values.empty() && broadcast_ == nullptr) channel_->Return(std::move(values));
  // After they are in the channel again: who waits for this looks there.
  if (unacknowledged > 0) state_.channel_clients.Settled(channel_.get(), unacknowledged);
  channel_ = nullptr;  // of a broadcast: unsubscribes
}

}  // namespace interpd::daemon
