#include "client/call_pipeline.h"

#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/support/async_stream.h>

#include <deque>
#include <functional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/mutex.h"
#include "client/client.h"
#include "client/completion_poller.h"
#include "client/rpc_context.h"

namespace interpd::client {
namespace {

// A message is begun anew beyond this, so that batching never makes one that is over the limit of 64 MiB.
constexpr size_t kMaxBatchBytes = size_t{4} << 20;

}  // namespace

// The stream has at most one write and one read in flight. Everything but the start of operations happens on the
// polling thread.
class CallPipeline::Stream {
 public:
  Stream(v1::Interpreters::Stub* stub, grpc::CompletionQueue* queue, PipelineOptions pipeline,
         const RpcOptions& options)
      : max_batch_(pipeline.max_batch),
        context_(options),
        stream_(stub->PrepareAsyncCallStream(context_.get(), queue)) {
    v1::CallStreamRequest::Options& first = *message_.mutable_options();
    if (!pipeline.name.empty()) first.set_name(ResourceName(pipeline.name));
    first.set_ordered(pipeline.ordered);
    stream_->StartCall(&on_start_);
  }

  ~Stream() {
    context_.get()->TryCancel();
    absl::MutexLock lock(mutex_, absl::Condition(this, &Stream::Quiet));
  }

  template <typename Calls, typename MakeCallback>
  void Submit(Calls&& calls, MakeCallback make_callback) {
    std::vector<Callback> refused;
    absl::Status status;
    {
      absl::MutexLock lock(mutex_);
      for (size_t i = 0; i < calls.size(); ++i) {
        if (over_) {
          refused.push_back(make_callback(i));
          continue;
        }
        if (!calls[i].name().empty()) calls[i].set_name(ResourceName(calls[i].name()));
        waiting_.push_back({next_id_, std::move(calls[i])});
        callbacks_.emplace(next_id_++, make_callback(i));
      }
      status = status_;
      WriteMore();
    }
    for (Callback& callback : refused) callback(status.ok() ? absl::CancelledError("the pipeline has ended") : status);
  }

  size_t pending() const {
    absl::MutexLock lock(mutex_);
    return callbacks_.size();
  }

  absl::Status Finish() {
    absl::MutexLock lock(mutex_);
    closing_ = true;
    WriteMore();
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
  struct WaitingCall {
    int64_t id;
    v1::CallRequest call;
  };

  bool Quiet() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return finished_ && !writing_; }

  // Begins the next message if there is something to say and nothing keeps it back.
  void WriteMore() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (!started_ || writing_ || dispatching_ || ended_) return;
    size_t bytes = 0;
    while (!waiting_.empty() && message_.calls_size() < max_batch_ && bytes < kMaxBatchBytes) {
      v1::CallStreamRequest::Item& item = *message_.add_calls();
      item.set_id(waiting_.front().id);
      item.mutable_call()->Swap(&waiting_.front().call);
      bytes += item.call().ByteSizeLong();
      waiting_.pop_front();
    }
    if (message_.calls_size() > 0 || message_.has_options()) {
      writing_ = true;
      stream_->Write(message_, &on_write_);
    } else if (closing_ && !half_closed_) {
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
    message_.Clear();
    if (!ok) ended_ = true;  // the read that is in flight fails too, and ends the stream
    WriteMore();
  }

  void OnRead(bool ok) {
    std::vector<Callback> callbacks;
    {
      absl::MutexLock lock(mutex_);
      if (!ok) {
        ended_ = true;
        stream_->Finish(&grpc_status_, &on_finish_);
        return;
      }
      dispatching_ = true;
      callbacks.reserve(answer_.results_size());
      for (const v1::CallStreamResponse::Item& item : answer_.results()) {
        auto found = callbacks_.find(item.id());
        callbacks.push_back(found == callbacks_.end() ? Callback([](auto&&) {}) : std::move(found->second));
        if (found != callbacks_.end()) callbacks_.erase(found);
      }
    }
    for (int i = 0; i < answer_.results_size(); ++i) {
      v1::CallStreamResponse::Item& item = *answer_.mutable_results(i);
      if (item.has_response()) {
        callbacks[i](std::move(*item.mutable_response()));
      } else {
        callbacks[i](ToAbslStatus(item.error()));
      }
    }
    absl::MutexLock lock(mutex_);
    dispatching_ = false;
    WriteMore();
    stream_->Read(&answer_, &on_read_);
  }

  void OnFinish(bool) {
    absl::flat_hash_map<int64_t, Callback> left;
    absl::Status status = ToAbslStatus(grpc_status_);
    {
      absl::MutexLock lock(mutex_);
      status_ = status;
      ended_ = true;
      over_ = true;
      left.swap(callbacks_);
      waiting_.clear();
    }
    if (status.ok()) status = absl::InternalError("the daemon ended the stream without answering this call");
    for (auto& [id, callback] : left) callback(status);
    absl::MutexLock lock(mutex_);
    finished_ = true;  // the last access: the destructor may go on now
  }

  const int max_batch_;
  RpcContext context_;

  mutable absl::Mutex mutex_;
  std::deque<WaitingCall> waiting_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<int64_t, Callback> callbacks_ ABSL_GUARDED_BY(mutex_);  // of calls that are not answered
  int64_t next_id_ ABSL_GUARDED_BY(mutex_) = 1;
  bool started_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;      // a write is in flight
  bool dispatching_ ABSL_GUARDED_BY(mutex_) = false;  // callbacks run: what they submit goes into one message
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;      // Finish was called
  bool half_closed_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;     // takes no more writes
  bool over_ ABSL_GUARDED_BY(mutex_) = false;      // takes no more calls: status_ is known
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;  // every callback has run
  absl::Status status_ ABSL_GUARDED_BY(mutex_);

  v1::CallStreamRequest message_;  // being written
  v1::CallStreamResponse answer_;  // being read
  grpc::Status grpc_status_;
  Tag on_start_{this, &Stream::OnStart};
  Tag on_write_{this, &Stream::OnWrite};
  Tag on_read_{this, &Stream::OnRead};
  Tag on_finish_{this, &Stream::OnFinish};
  const std::unique_ptr<grpc::ClientAsyncReaderWriter<v1::CallStreamRequest, v1::CallStreamResponse>> stream_;
};

CallPipeline::CallPipeline(v1::Interpreters::Stub* stub, grpc::CompletionQueue* queue, PipelineOptions pipeline,
                           const RpcOptions& options)
    : stream_(std::make_unique<Stream>(stub, queue, std::move(pipeline), options)) {}

CallPipeline::~CallPipeline() = default;

void CallPipeline::Submit(v1::CallRequest call, Callback callback) {
  std::vector<v1::CallRequest> calls;
  calls.push_back(std::move(call));
  stream_->Submit(calls, [&](size_t) { return std::exchange(callback, nullptr); });  // asked for once
}

void CallPipeline::Submit(std::vector<v1::CallRequest> calls,
                          std::function<void(size_t, absl::StatusOr<v1::CallResponse>)> callback) {
  auto shared = std::make_shared<decltype(callback)>(std::move(callback));
  stream_->Submit(calls, [&shared](size_t index) {
    return [shared, index](absl::StatusOr<v1::CallResponse> response) { (*shared)(index, std::move(response)); };
  });
}

std::vector<absl::StatusOr<v1::CallResponse>> CallPipeline::CallAll(std::vector<v1::CallRequest> calls) {
  std::vector<absl::StatusOr<v1::CallResponse>> answers(calls.size());
  absl::BlockingCounter left(static_cast<int>(calls.size()));
  Submit(std::move(calls), [&](size_t index, absl::StatusOr<v1::CallResponse> response) {
    answers[index] = std::move(response);
    left.DecrementCount();
  });
  left.Wait();
  return answers;
}

size_t CallPipeline::pending() const { return stream_->pending(); }

absl::Status CallPipeline::Finish() { return stream_->Finish(); }

}  // namespace interpd::client
