// ImmediateRpc: a unary call that is answered on the spot by one function.
#ifndef INTERPD_DAEMON_IMMEDIATE_RPC_H_
#define INTERPD_DAEMON_IMMEDIATE_RPC_H_

#include <grpcpp/server_builder.h>

#include "daemon/rpc.h"

namespace interpd::daemon {

template <typename Service, typename Request, typename Response>
class ImmediateRpc final : public UnaryRpc<Request, Response> {
 public:
  // The generated Service::Request<Method>.
  using Method = void (Service::*)(grpc::ServerContext*, grpc::ByteBuffer*,
                                   grpc::ServerAsyncResponseWriter<grpc::ByteBuffer>*, grpc::CompletionQueue*,
                                   grpc::ServerCompletionQueue*, void*);
  // Fills the answer or returns an error; does not block.
  using Handler = absl::Status (*)(ServerState& state, const Principal& principal, const Request& request,
                                   Response* response);

  ImmediateRpc(ServerState& state, const AccessRule& rule, Service& service, Method method, Handler handler)
      : UnaryRpc<Request, Response>(state, rule), service_(service), method_(method), handler_(handler) {}

 private:
  void Listen(void* tag) override {
    grpc::ServerCompletionQueue* queue = this->state_.loop.queue();
    (service_.*method_)(&this->context_, &this->request_bytes_, &this->responder_, queue, queue, tag);
  }
  Rpc* Another() const override { return new ImmediateRpc(this->state_, this->rule(), service_, method_, handler_); }
  void Handle(Request& request) override {
    Response response;
    absl::Status status = handler_(this->state_, this->principal(), request, &response);
    if (status.ok()) {
      this->Reply(response);
    } else {
      this->Fail(status);
    }
  }

  Service& service_;
  const Method method_;
  const Handler handler_;
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_IMMEDIATE_RPC_H_
