// The gRPC context of one RPC, made from its RpcOptions.
//
// Who includes this: the implementation of Client and CallPipeline.
#ifndef INTERPD_CLIENT_RPC_CONTEXT_H_
#define INTERPD_CLIENT_RPC_CONTEXT_H_

#include <grpcpp/client_context.h>

#include "absl/time/clock.h"
#include "client/rpc_options.h"

namespace interpd::client {

class RpcContext {
 public:
  explicit RpcContext(const RpcOptions& options) : cancellation_(options.cancellation) {
    if (options.timeout != absl::InfiniteDuration())
      context_.set_deadline(absl::ToChronoTime(absl::Now() + options.timeout));
    if (cancellation_ != nullptr) cancellation_->Add(&context_);
  }
  ~RpcContext() {
    if (cancellation_ != nullptr) cancellation_->Remove(&context_);
  }

  RpcContext(const RpcContext&) = delete;
  RpcContext& operator=(const RpcContext&) = delete;

  grpc::ClientContext* get() { return &context_; }

 private:
  Cancellation* const cancellation_;
  grpc::ClientContext context_;
};

}  // namespace interpd::client

#endif  // INTERPD_CLIENT_RPC_CONTEXT_H_
