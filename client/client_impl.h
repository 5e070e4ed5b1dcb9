// What Client is made of: its stubs, and RPCs in flight that call back.
//
// Who includes this: the files that implement Client.
#ifndef INTERPD_CLIENT_CLIENT_IMPL_H_
#define INTERPD_CLIENT_CLIENT_IMPL_H_

#include <grpcpp/grpcpp.h>
#include <grpcpp/support/async_stream.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/time/clock.h"
#include "client/client.h"
#include "client/completion_poller.h"
#include "client/rpc_context.h"
#include "client/rpc_error.h"
#include "interpd/v1/admin.grpc.pb.h"
#include "interpd/v1/channels.grpc.pb.h"
#include "interpd/v1/constants.grpc.pb.h"
#include "interpd/v1/interpreters.grpc.pb.h"
#include "interpd/v1/jobs.grpc.pb.h"

namespace interpd::client {

// 128 random bits in hexadecimal.
std::string MakeRequestId();

template <typename Request>
void QualifyName(Request& request) {
  request.set_name(ResourceName(request.name()));
}

// A unary RPC in flight; deletes itself after its callback.
template <typename Response>
class AsyncUnary : public CompletionTag {
 public:
  AsyncUnary(Client::Callback<Response> callback, const RpcOptions& options)
      : context_(options), callback_(std::move(callback)) {}

  // `prepare` is the stub's PrepareAsync method for the request.
  template <typename Prepare>
  void Start(Prepare prepare) {
    reader_ = prepare(context_.get());
    reader_->StartCall();
    reader_->Finish(&response_, &status_, this);
  }

  void Complete(bool) override {
    Client::Callback<Response> callback = std::move(callback_);
    absl::StatusOr<Response> result =
        status_.ok() ? absl::StatusOr<Response>(std::move(response_)) : ToAbslStatus(status_);
    delete this;  // the RPC is over when the callback runs: its Cancellation may be gone afterwards
    callback(std::move(result));
  }

 private:
  RpcContext context_;
  Client::Callback<Response> callback_;
  Response response_;
  grpc::Status status_;
  std::unique_ptr<grpc::ClientAsyncResponseReader<Response>> reader_;
};

// An RPC in flight that is answered by a stream: starts, reads until the stream ends, finishes; deletes itself then.
template <typename Response>
class AsyncStream : public CompletionTag {
 public:
  AsyncStream(std::function<void(Response&)> on_message, absl::AnyInvocable<void(absl::Status)> on_end,
              const RpcOptions& options)
      : context_(options), on_message_(std::move(on_message)), on_end_(std::move(on_end)) {}

  // `prepare` is the stub's PrepareAsync method for the request.
  template <typename Prepare>
  void Start(Prepare prepare) {
    reader_ = prepare(context_.get());
    reader_->StartCall(this);
  }

  void Complete(bool ok) override {
    switch (step_) {
      case Step::kStart: step_ = Step::kRead; break;
      case Step::kRead:
        if (ok) on_message_(response_);
        break;
      case Step::kFinish: {
        absl::AnyInvocable<void(absl::Status)> on_end = std::move(on_end_);
        absl::Status status = ToAbslStatus(status_);
        delete this;  // as above
        on_end(std::move(status));
        return;
      }
    }
    if (ok) {
      reader_->Read(&response_, this);
    } else {
      step_ = Step::kFinish;
      reader_->Finish(&status_, this);
    }
  }

 private:
  enum class Step { kStart, kRead, kFinish };

  Step step_ = Step::kStart;
  RpcContext context_;
  std::function<void(Response&)> on_message_;
  absl::AnyInvocable<void(absl::Status)> on_end_;
  Response response_;
  grpc::Status status_;
  std::unique_ptr<grpc::ClientAsyncReader<Response>> reader_;
};

struct Client::Impl {
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<v1::Interpreters::Stub> interpreters;
  std::unique_ptr<v1::Channels::Stub> channels;
  std::unique_ptr<v1::Constants::Stub> constants;
  std::unique_ptr<v1::Jobs::Stub> jobs;
  std::unique_ptr<v1::Admin::Stub> admin;
  CompletionPoller poller;  // the last member: destroyed first, it waits for RPCs in flight

  template <typename Stub, typename Request, typename Response>
  absl::StatusOr<Response> Unary(Stub& stub,
                                 grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                                 const Request& request, const RpcOptions& options) {
    RpcContext context(options);
    Response response;
    grpc::Status status = (stub.*method)(context.get(), request, &response);
    if (!status.ok()) return ToAbslStatus(status);
    return response;
  }

  // Calls `attempt`, which is an RPC that is safe to repeat, again when the connection breaks; `may_repeat` is asked
  // before.
  template <typename Result>
  absl::StatusOr<Result> Repeat(absl::FunctionRef<absl::StatusOr<Result>(const RpcOptions&)> attempt,
                                absl::FunctionRef<bool()> may_repeat, const RpcOptions& options) {
    constexpr int kAttempts = 3;
    const absl::Time deadline = absl::Now() + options.timeout;
    for (int number = 1;; ++number) {
      RpcOptions remaining = options;
      remaining.timeout = deadline - absl::Now();
      absl::StatusOr<Result> result = attempt(remaining);
      if (!ConnectionBroke(result.status())) return result;
      if (number == kAttempts || !may_repeat()) return result;
      auto until = absl::ToChronoTime(std::min(deadline, absl::Now() + absl::Seconds(5)));
      if (!channel->WaitForConnected(until)) return result;
    }
  }

  // Gives the request a request_id if it has none, and repeats it when the connection breaks.
  template <typename Resource, typename Stub, typename Request>
  absl::StatusOr<Resource> Create(Stub& stub,
                                  grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Resource*),
                                  Request& request, const RpcOptions& options) {
    if (request.request_id().empty()) request.set_request_id(MakeRequestId());
    return Repeat<Resource>([&](const RpcOptions& remaining) { return Unary(stub, method, request, remaining); },
                            [] { return true; }, options);
  }
};

}  // namespace interpd::client

#endif  // INTERPD_CLIENT_CLIENT_IMPL_H_
