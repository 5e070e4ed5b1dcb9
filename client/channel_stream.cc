#include "client/channel_stream.h"

#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/support/async_stream.h>

#include <algorithm>
#include <deque>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "client/client.h"
#include "client/completion_poller.h"
#include "client/rpc_context.h"
#include "client/value_batch.h"

namespace interpd::client {
namespace {

// A message is begun anew beyond this, so that batching never makes one that is over the limit of 64 MiB.
constexpr size_t kMaxBatchBytes = size_t{1} << 20;

// Messages of values that are on their way and not in the channel yet, at most, and what is in them. The daemon reads
// ahead of a full channel this far (channels.proto), so that credit, acknowledgements and a stop are heard meanwhile.
constexpr size_t kMaxMessagesUnderWay = 32;
constexpr size_t kMaxBytesUnderWay = size_t{512} << 10;

// Send waits while so many values wait to be written, or so many bytes.
constexpr size_t kMaxWaiting = 16384;
constexpr size_t kMaxWaitingBytes = size_t{16} << 20;

}  // namespace

// The stream has at most one write and one read in flight. Everything but the start of operations happens on the
// polling thread.
class ChannelStream::Stream {
 public:
  Stream(v1::Channels::Stub* stub, grpc::CompletionQueue* queue, ChannelStreamOptions stream, const RpcOptions& options)
      : options_(std::move(stream)), context_(options), stream_(stub->PrepareAsyncAttach(context_.get(), queue)) {
    v1::AttachRequest::Options& first = *message_.mutable_options();
    if (!options_.send_to.empty()) first.set_send_to(ChannelResourceName(options_.send_to));
    if (!options_.receive_from.empty()) first.set_receive_from(ChannelResourceName(options_.receive_from));
    first.set_acknowledge(options_.acknowledge);
    if (options_.subscription) *first.mutable_subscription() = *options_.subscription;
    receive_ended_ = options_.receive_from.empty();
    absl::MutexLock lock(mutex_);
    Grant();
    stream_->StartCall(&on_start_);
  }

  ~Stream() {
    context_.get()->TryCancel();
    absl::MutexLock lock(mutex_, absl::Condition(this, &Stream::Quiet));
  }

  absl::Status WaitAttached() {
    absl::MutexLock lock(mutex_, absl::Condition(this, &Stream::AttachedOrOver));
    return attached_ ? absl::OkStatus() : EndStatus();
  }

  absl::Status Send(v1::Value value, absl::Duration timeout) {
    const size_t bytes = value.ByteSizeLong();
    absl::MutexLock lock(mutex_);
    if (!mutex_.AwaitWithTimeout(absl::Condition(this, &Stream::RoomOrOver), timeout)) {
      return absl::DeadlineExceededError("the channel did not take the values in time");
    }
    if (ended_ || stopping_) return EndStatus();
    ++sent_;
    waiting_.emplace_back(std::move(value), bytes);
    waiting_bytes_ += bytes;
    WriteMore();
    return absl::OkStatus();
  }

  absl::Status Flush(absl::Duration timeout) {
    absl::MutexLock lock(mutex_);
    if (!mutex_.AwaitWithTimeout(absl::Condition(this, &Stream::SentOrOver), timeout)) {
      return absl::DeadlineExceededError("the channel did not take the values in time");
    }
    return sent_count_ == sent_ ? absl::OkStatus() : EndStatus();
  }

  int64_t sent_count() const {
    absl::MutexLock lock(mutex_);
    return sent_count_;
  }

  absl::StatusOr<std::vector<v1::Value>> Receive(size_t max, absl::Duration timeout) {
    std::vector<v1::Value> values;
    absl::MutexLock lock(mutex_);
    if (!mutex_.AwaitWithTimeout(absl::Condition(this, &Stream::SomethingReceived), timeout)) {
      return absl::DeadlineExceededError("no value came in time");
    }
    const size_t count = std::min(max, received_.size());
    values.reserve(count);
    for (size_t i = 0; i < count; ++i) {
      values.push_back(std::move(received_.front()));
      received_.pop_front();
    }
    returned_ += static_cast<int64_t>(count);
    const bool all_returned = receive_ended_ || returned_ >= options_.limit;
    if (count == 0 && over_ && !status_.ok() && !all_returned) return status_;
    Grant();
    WriteMore();
    return values;
  }

  void Acknowledge() {
    absl::MutexLock lock(mutex_);
    if (returned_ <= acknowledged_) return;
    acknowledged_ = returned_;
    acknowledge_ = true;
    WriteMore();
  }

  void Stop() {
    absl::MutexLock lock(mutex_);
    if (stopping_ || ended_) return;
    stopping_ = true;
    sent_ -= static_cast<int64_t>(waiting_.size());
    waiting_.clear();
    waiting_bytes_ = 0;
    WriteMore();
  }

  absl::Status Finish(absl::Duration timeout) {
    const absl::Time deadline = absl::Now() + timeout;
    absl::MutexLock lock(mutex_);
    if (!mutex_.AwaitWithDeadline(absl::Condition(this, &Stream::SentOrOver), deadline)) context_.get()->TryCancel();
    // So that credit that is left does not keep the stream open.
    if (!receive_ended_) stopping_ = true;
    closing_ = true;
    WriteMore();
    if (!mutex_.AwaitWithDeadline(absl::Condition(this, &Stream::Quiet), deadline)) context_.get()->TryCancel();
    mutex_.Await(absl::Condition(this, &Stream::Quiet));
    return status_;
  }

 private:
  struct Tag : CompletionTag {
    Tag(Stream* stream, void (Stream::*method)(bool)) : stream(stream), method(method) {}
    void Complete(bool ok) override { (stream->*method)(ok); }
    Stream* const stream;
    void (Stream::* const method)(bool);
  };

  struct Message {
    int64_t last;  // how many values have been written with it
    size_t bytes;
  };

  bool Quiet() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return over_ && !writing_; }
  bool AttachedOrOver() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return attached_ || over_; }
  bool RoomOrOver() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return ended_ || stopping_ || (waiting_.size() < kMaxWaiting && waiting_bytes_ < kMaxWaitingBytes);
  }
  bool SentOrOver() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return over_ || stopping_ || sent_count_ == sent_; }
  bool SomethingReceived() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return over_ || receive_ended_ || !received_.empty() || returned_ >= options_.limit;
  }

  // Why a method cannot do its work. The stream may be broken before its status is known.
  absl::Status EndStatus() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (ended_) mutex_.Await(absl::Condition(&over_));
    return status_.ok() ? absl::CancelledError("the stream has ended") : status_;
  }

  // Asks for more values once half of the window has been taken.
  void Grant() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (options_.receive_from.empty() || stopping_) return;
    const int64_t room = options_.limit - granted_;
    const int64_t wanted = std::min(returned_ + options_.window - granted_, room);
    if (wanted <= 0 || (wanted < room && 2 * wanted < options_.window)) return;
    granted_ += wanted;
    message_.set_credit(message_.credit() + wanted);
  }

  // Whether one more value may go into the next message, which has so many bytes already.
  bool MayWrite(size_t bytes) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (under_way_.empty()) return true;  // a value that is larger than the limit goes alone
    return under_way_.size() < kMaxMessagesUnderWay && bytes_under_way_ + bytes < kMaxBytesUnderWay;
  }

  // Begins the next message if there is something to say and nothing keeps it back.
  void WriteMore() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (!started_ || writing_ || ended_ || half_closed_) return;
    size_t bytes = 0;
    int count = 0;
    while (!waiting_.empty() && count < options_.max_batch && bytes < kMaxBatchBytes && MayWrite(bytes)) {
      bytes += waiting_.front().second;
      AppendValue(std::move(waiting_.front().first), message_.mutable_values());
      waiting_.pop_front();
      ++count;
    }
    if (count > 0) {
      waiting_bytes_ -= bytes;
      written_ += count;
      bytes_under_way_ += bytes;
      under_way_.push_back({written_, bytes});
    }
    if (std::exchange(acknowledge_, false)) message_.set_acknowledged_number(acknowledged_);
    if (stopping_ && !std::exchange(stop_said_, true)) message_.set_stop(true);
    if (message_.has_options() || message_.has_values() || message_.credit() > 0 ||
        message_.acknowledged_number() > 0 || message_.stop()) {
      writing_ = true;
      writing_message_.Swap(&message_);
      message_.Clear();
      stream_->Write(writing_message_, &on_write_);
    } else if (closing_ && waiting_.empty()) {
      half_closed_ = true;
      writing_ = true;
      stream_->WritesDone(&on_write_);
    }
  }

  void OnStart(bool ok) {
    absl::MutexLock lock(mutex_);
    if (!ok) {
      ended_ = true;
      stream_->Finish(&grpc_status_, &on_finish_);
      return;
    }
    started_ = true;
    WriteMore();
    stream_->Read(&answer_, &on_read_);
  }

  void OnWrite(bool ok) {
    absl::MutexLock lock(mutex_);
    writing_ = false;
    if (!ok) ended_ = true;  // the read that is in flight fails too, and ends the stream
    WriteMore();
  }

  void OnRead(bool ok) {
    std::vector<v1::Value> values;
    if (ok) TakeValues(answer_.mutable_values(), &values);
    absl::MutexLock lock(mutex_);
    if (!ok) {
      ended_ = true;
      stream_->Finish(&grpc_status_, &on_finish_);
      return;
    }
    attached_ = true;
    for (v1::Value& value : values) received_.push_back(std::move(value));
    sent_count_ = std::max(sent_count_, answer_.sent_count());
    while (!under_way_.empty() && under_way_.front().last <= sent_count_) {
      bytes_under_way_ -= under_way_.front().bytes;
      under_way_.pop_front();
    }
    WriteMore();
    if (answer_.ended()) receive_ended_ = true;
    stream_->Read(&answer_, &on_read_);
  }

  void OnFinish(bool) {
    absl::Status status = ToAbslStatus(grpc_status_);
    absl::MutexLock lock(mutex_);
    status_ = std::move(status);
    over_ = true;  // the last access: the destructor may go on now
  }

  const ChannelStreamOptions options_;
  RpcContext context_;

  mutable absl::Mutex mutex_;
  std::deque<std::pair<v1::Value, size_t>> waiting_ ABSL_GUARDED_BY(mutex_);  // to be written, with their sizes
  size_t waiting_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::deque<Message> under_way_ ABSL_GUARDED_BY(mutex_);  // written, and not all in the channel
  size_t bytes_under_way_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t sent_ ABSL_GUARDED_BY(mutex_) = 0;        // by our caller
  int64_t written_ ABSL_GUARDED_BY(mutex_) = 0;     // of those, into messages
  int64_t sent_count_ ABSL_GUARDED_BY(mutex_) = 0;  // in the channel
  std::deque<v1::Value> received_ ABSL_GUARDED_BY(mutex_);
  int64_t granted_ ABSL_GUARDED_BY(mutex_) = 0;       // values asked for
  int64_t returned_ ABSL_GUARDED_BY(mutex_) = 0;      // values that Receive has returned
  int64_t acknowledged_ ABSL_GUARDED_BY(mutex_) = 0;  // values that our caller is done with
  bool acknowledge_ ABSL_GUARDED_BY(mutex_) = false;  // the daemon does not know that yet
  bool attached_ ABSL_GUARDED_BY(mutex_) = false;
  bool receive_ended_ ABSL_GUARDED_BY(mutex_) = false;
  bool started_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;   // a write is in flight
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;  // Stop was called
  bool stop_said_ ABSL_GUARDED_BY(mutex_) = false;
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;  // Finish was called
  bool half_closed_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;  // takes no more writes
  bool over_ ABSL_GUARDED_BY(mutex_) = false;   // status_ is known
  absl::Status status_ ABSL_GUARDED_BY(mutex_);

  v1::AttachRequest message_ ABSL_GUARDED_BY(mutex_);  // the next one, as far as it is known
  v1::AttachRequest writing_message_;
  v1::AttachResponse answer_;  // being read
  grpc::Status grpc_status_;
  Tag on_start_{this, &Stream::OnStart};
  Tag on_write_{this, &Stream::OnWrite};
  Tag on_read_{this, &Stream::OnRead};
  Tag on_finish_{this, &Stream::OnFinish};
  const std::unique_ptr<grpc::ClientAsyncReaderWriter<v1::AttachRequest, v1::AttachResponse>> stream_;
};

ChannelStream::ChannelStream(v1::Channels::Stub* stub, grpc::CompletionQueue* queue, ChannelStreamOptions stream,
                             const RpcOptions& options)
    : stream_(std::make_unique<Stream>(stub, queue, std::move(stream), options)) {}

ChannelStream::~ChannelStream() = default;

absl::Status ChannelStream::WaitAttached() { return stream_->WaitAttached(); }
absl::Status ChannelStream::Send(v1::Value value, absl::Duration timeout) {
  return stream_->Send(std::move(value), timeout);
}
absl::Status ChannelStream::Flush(absl::Duration timeout) { return stream_->Flush(timeout); }
int64_t ChannelStream::sent_count() const { return stream_->sent_count(); }
absl::StatusOr<std::vector<v1::Value>> ChannelStream::Receive(size_t max, absl::Duration timeout) {
  return stream_->Receive(max, timeout);
}
void ChannelStream::Acknowledge() { stream_->Acknowledge(); }
void ChannelStream::Stop() { stream_->Stop(); }
absl::Status ChannelStream::Finish(absl::Duration timeout) { return stream_->Finish(timeout); }

}  // namespace interpd::client
