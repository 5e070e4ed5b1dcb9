// Interpreters.Create and Interpreters.Close: what takes a while and is answered when it is done.
#ifndef INTERPD_DAEMON_CREATE_RPC_H_
#define INTERPD_DAEMON_CREATE_RPC_H_

#include <memory>
#include <string>

#include "daemon/create_requests.h"
#include "daemon/raw_services.h"
#include "daemon/rpc.h"
#include "interp/interpreter.h"

namespace interpd::daemon {

// A Create whose client has gone before the interpreter was made closes it again, since nobody may know of it; with a
// request id it stays, for the client to ask again.
class CreateRpc final : public UnaryRpc<v1::CreateRequest, v1::Interpreter> {
 public:
  CreateRpc(ServerState& state, RawInterpreters& service, CreateRequests<v1::Interpreter>& requests)
      : UnaryRpc(state, RuleOf("interpd.v1.Interpreters/Create")), service_(service), requests_(requests) {}

 private:
  void Listen(void* tag) override;
  Rpc* Another() const override { return new CreateRpc(state_, service_, requests_); }
  void Handle(v1::CreateRequest& request) override;

  absl::Status Create(const v1::CreateRequest& request);
  // Whether the principal may have one more.
  absl::Status CheckRoom() const;
  void Made(const absl::Status& status);

  RawInterpreters& service_;
  CreateRequests<v1::Interpreter>& requests_;
  std::string request_id_;
  std::shared_ptr<interp::Interpreter> interpreter_;
};

class CloseRpc final : public UnaryRpc<v1::CloseRequest, v1::Interpreter> {
 public:
  CloseRpc(ServerState& state, RawInterpreters& service)
      : UnaryRpc(state, RuleOf("interpd.v1.Interpreters/Close")), service_(service) {}

 private:
  void Listen(void* tag) override;
  Rpc* Another() const override { return new CloseRpc(state_, service_); }
  void Handle(v1::CloseRequest& request) override;

  absl::Status Close(const v1::CloseRequest& request);

  RawInterpreters& service_;
  std::shared_ptr<interp::Interpreter> interpreter_;
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_CREATE_RPC_H_
