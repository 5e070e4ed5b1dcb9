// ChannelStream: sends to and receives from channels over one gRPC stream, many values in one message.
//
// Who includes this: client.h; use Client::OpenChannelStream.
//
//   ChannelStreamOptions options;
//   options.send_to = "jobs";
//   options.receive_from = "results";
//   std::unique_ptr<ChannelStream> stream = client->OpenChannelStream(options);
//   absl::Status sent = stream->Send(value);
//   absl::StatusOr<std::vector<v1::Value>> results = stream->Receive(100);
//   absl::Status status = stream->Finish();
//
// What is sent while a message is being written travels together in the next one: batches form by themselves when there
// is much to do, and a lone value leaves at once. Receiving asks for `window` values ahead, and again as they are
// taken.
//
// What lies here when the program dies is lost, unless `acknowledge` is set: then it goes back to the channel, with all
// that was received and not acknowledged.
#ifndef INTERPD_CLIENT_CHANNEL_STREAM_H_
#define INTERPD_CLIENT_CHANNEL_STREAM_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "interpd/v1/channels.grpc.pb.h"
#include "interpd/v1/channels.pb.h"

namespace grpc {
class CompletionQueue;
}

namespace interpd::client {

struct RpcOptions;

struct ChannelStreamOptions {
  // `channels/ID` or ID; empty: nothing is sent, nothing is received. They may be the same.
  std::string send_to;
  std::string receive_from;
  // Received values go back to the channel unless they are acknowledged.
  bool acknowledge = false;
  // How to receive from a broadcast; only for one.
  std::optional<v1::Subscription> subscription;
  // Values asked for that Receive has not returned yet, at most.
  int64_t window = 1024;
  // Values asked for in all, at most.
  int64_t limit = std::numeric_limits<int64_t>::max();
  // Values in one message, at most.
  int max_batch = 1024;
};

// Thread safety: all methods may be called by any thread, but the destructor only after all others have returned. None
// may be called by a callback of Client.
class ChannelStream {
 public:
  // For Client::OpenChannelStream.
  ChannelStream(v1::Channels::Stub* stub, grpc::CompletionQueue* queue, ChannelStreamOptions stream,
                const RpcOptions& options);

  // Cancels what is under way.
  ~ChannelStream();

  ChannelStream(const ChannelStream&) = delete;
  ChannelStream& operator=(const ChannelStream&) = delete;

  // Waits until the daemon has begun: from then on a broadcast's subscriber misses nothing. Errors: those of
  // Channels.Attach.
  absl::Status WaitAttached();

  // Sends a value. Waits while very many wait to be written, as they do when the channel is full: that is the
  // back-pressure. DEADLINE_EXCEEDED: there was no room within `timeout`, and it is not sent. Other errors: the
  // stream's; what was sent before may be in the channel or not, which sent_count() says once the stream has ended.
  absl::Status Send(v1::Value value, absl::Duration timeout = absl::InfiniteDuration());

  // Waits until all that was sent is in the channel. DEADLINE_EXCEEDED: it was not within `timeout`.
  absl::Status Flush(absl::Duration timeout = absl::InfiniteDuration());

  // Values that the daemon has said are in the channel.
  int64_t sent_count() const;

  // Waits for a value, then takes all that are here, in order, at most `max`. Empty: no more will come, for the channel
  // is closed and empty, or the limit is reached, or Stop was called and what was on its way has been returned.
  // DEADLINE_EXCEEDED: none came within `timeout`; nothing is lost by that. Other errors: the stream's.
  absl::StatusOr<std::vector<v1::Value>> Receive(size_t max, absl::Duration timeout = absl::InfiniteDuration());

  // The caller is done with all values that Receive has returned so far. Requires: `acknowledge`.
  void Acknowledge();

  // Asks for no more values, and drops those that are not in the channel yet. Receive returns what is on its way.
  void Stop();

  // Waits until all that was sent is in the channel, ends the stream and returns its status. What was received and not
  // acknowledged, or not taken with Receive by then, goes back to the channel or is lost, as the options say. A stream
  // that has not ended within `timeout` is cancelled.
  absl::Status Finish(absl::Duration timeout = absl::InfiniteDuration());

 private:
  class Stream;
  const std::unique_ptr<Stream> stream_;
};

}  // namespace interpd::client

#endif  // INTERPD_CLIENT_CHANNEL_STREAM_H_
