// ChannelSender: the half of a stream that puts a client's values into a channel, in order, as it has room.
//
// Who includes this: the RPCs that send. Thread safety: belongs to handlers of the event loop.
#ifndef INTERPD_DAEMON_CHANNEL_SENDER_H_
#define INTERPD_DAEMON_CHANNEL_SENDER_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "channels/channel.h"
#include "channels/shared.h"
#include "channels/value.h"
#include "daemon/channel_watch.h"
#include "daemon/server_state.h"
#include "interpd/v1/value.pb.h"

namespace interpd::daemon {

class ChannelSender {
 public:
  // `on_advance` is called in the event loop, never from within a method, when values that waited have moved on or the
  // channel has been closed.
  ChannelSender(ServerState& state, std::function<void()> on_advance);

  // Errors: INVALID_FIELD with that field, CHANNEL_NOT_FOUND.
  absl::Status Attach(ChannelNames& names, std::string_view name, std::string_view field);
  bool attached() const { return channel_ != nullptr; }

  // Puts values in, as many as there is room for; the others wait, behind those that wait already. `bytes` is what they
  // took as a message. Requires: attached. Errors: INVALID_VALUE, and then none of these is in; CHANNEL_CLOSED, which
  // says how many of all are.
  absl::Status Take(const v1::ValueBatch& batch, size_t bytes);
  absl::Status Take(channels::Value value);

  // Whether values wait for room.
  bool waiting() const { return !batches_.empty(); }
  // Whether so many wait that no more should be taken. One message more than what is much is taken at least, since it
  // may say something else than values.
  bool full() const { return batches_.size() >= kMaxBatches || (batches_.size() > 1 && waiting_bytes_ >= kMaxBytes); }

  // CHANNEL_CLOSED once it was closed while values waited.
  const absl::Status& status() const { return status_; }

  // Values that are in the channel by now, of all that were taken.
  int64_t sent_count() const { return sent_count_; }

  // Drops what waits.
  void Drop();

  const channels::Ref<channels::Channel>& channel() const { return channel_; }

 private:
  static constexpr size_t kMaxBatches = 64;
  static constexpr size_t kMaxBytes = size_t{1} << 20;

  struct Batch {
    std::vector<channels::Value> values;
    size_t bytes;
  };

  absl::Status Add(Batch batch);
  absl::Status Push();

  ServerState& state_;
  ChannelNames* names_ = nullptr;  // since Attach
  const std::function<void()> on_advance_;
  std::string name_;
  channels::Ref<channels::Channel> channel_;
  std::deque<Batch> batches_;  // not all in the channel yet
  size_t next_ = 0;            // of the first of them: those before it are in the channel
  size_t waiting_bytes_ = 0;
  int64_t sent_count_ = 0;
  absl::Status status_;
  ChannelWatch watch_;
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_CHANNEL_SENDER_H_
