// CallPipeline: many calls in flight on one gRPC stream, many in one message.
//
// Who includes this: client.h; use Client::OpenPipeline.
//
// Calls that are submitted while a message is being written, or by the callbacks of one answer, travel together in the
// next message. So batches form by themselves when there is much to do, and a lone call leaves at once.
//
// Submit never blocks. What is not answered yet is kept in memory without a limit: the caller decides how many calls
// it lets be in flight, for instance by submitting the next one from a callback.
#ifndef INTERPD_CLIENT_CALL_PIPELINE_H_
#define INTERPD_CLIENT_CALL_PIPELINE_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "interpd/v1/interpreters.grpc.pb.h"
#include "interpd/v1/interpreters.pb.h"

namespace grpc {
class CompletionQueue;
}

namespace interpd::client {

struct RpcOptions;

struct PipelineOptions {
  // The interpreter of calls that name none, `interpreters/ID` or ID.
  std::string name;
  // Answers come in the order of the calls. False: as they end.
  bool ordered = false;
  // Calls in one message at most.
  int max_batch = 256;
};

// Thread safety: all methods may be called by any thread, but the destructor and Finish not by a callback.
class CallPipeline {
 public:
  // Runs on the client's polling thread and must not block. Gets what the same unary call would have returned, or the
  // stream's error if the stream fails.
  using Callback = absl::AnyInvocable<void(absl::StatusOr<v1::CallResponse>)>;

  // For Client::OpenPipeline.
  CallPipeline(v1::Interpreters::Stub* stub, grpc::CompletionQueue* queue, PipelineOptions pipeline,
               const RpcOptions& options);

  // Cancels what is not answered; every callback has run when this returns.
  ~CallPipeline();

  CallPipeline(const CallPipeline&) = delete;
  CallPipeline& operator=(const CallPipeline&) = delete;

  // The callback runs exactly once, also when the stream has already failed.
  void Submit(v1::CallRequest call, Callback callback);

  // Submits calls so that they travel together; `callback` runs once for each, with its index in `calls`.
  void Submit(std::vector<v1::CallRequest> calls,
              std::function<void(size_t index, absl::StatusOr<v1::CallResponse>)> callback);

  // Submits calls and waits for all answers, which are returned in the order of the calls.
  std::vector<absl::StatusOr<v1::CallResponse>> CallAll(std::vector<v1::CallRequest> calls);

  // Calls that are not answered yet.
  size_t pending() const;

  // Waits until all calls are answered and ends the stream. Submit nothing afterwards. Returns the stream's status.
  absl::Status Finish();

 private:
  class Stream;
  const std::unique_ptr<Stream> stream_;
};

}  // namespace interpd::client

#endif  // INTERPD_CLIENT_CALL_PIPELINE_H_
