#include "daemon/channel_sender.h"

#include <utility>

#include "daemon/channel_proto.h"
#include "daemon/errors.h"
#include "daemon/value_batch.h"

namespace interpd::daemon {

ChannelSender::ChannelSender(ServerState& state, std::function<void()> on_advance)
    : state_(state), on_advance_(std::move(on_advance)), watch_(state, [this] {
        status_ = Push();
        on_advance_();
      }) {}

absl::Status ChannelSender::Attach(ChannelNames& names, std::string_view name, std::string_view field) {
  absl::StatusOr<channels::Ref<channels::Channel>> found = FindChannel(state_, names, name, field);
  if (!found.ok()) return found.status();
  names_ = &names;
  name_ = name;
  channel_ = *std::move(found);
  return absl::OkStatus();
}

absl::Status ChannelSender::Take(const v1::ValueBatch& batch, size_t bytes) {
  Batch taken{.bytes = bytes};
  absl::Status decoded = DecodeBatch(batch, *names_, &taken.values);
  if (!decoded.ok()) return decoded;
  return Add(std::move(taken));
}

absl::Status ChannelSender::Take(channels::Value value) {
  Batch taken{.bytes = 0};
  taken.values.push_back(std::move(value));
  return Add(std::move(taken));
}

absl::Status ChannelSender::Add(Batch batch) {
  if (batch.values.empty()) return status_;
  waiting_bytes_ += batch.bytes;
  batches_.push_back(std::move(batch));
  if (batches_.size() == 1) status_ = Push();
  return status_;
}

absl::Status ChannelSender::Push() {
  while (!batches_.empty()) {
    std::vector<channels::Value>& values = batches_.front().values;
    for (; next_ < values.size(); ++next_, ++sent_count_) {
      const channels::Outcome outcome = channel_->TrySend(values[next_]);
      if (outcome == channels::Outcome::kDone) continue;
      if (outcome == channels::Outcome::kClosed) {
        Drop();
        return ChannelClosed(name_, sent_count_);
      }
      watch_.Arm(channel_, channels::Direction::kSend);
      return absl::OkStatus();
    }
    waiting_bytes_ -= batches_.front().bytes;
    batches_.pop_front();
    next_ = 0;
  }
  return absl::OkStatus();
}

void ChannelSender::Drop() {
  watch_.Disarm();
  batches_.clear();
  next_ = 0;
  waiting_bytes_ = 0;
}

}  // namespace interpd::daemon
