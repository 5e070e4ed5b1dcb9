// Interpreters.Call: one function call, one answer.
#ifndef INTERPD_DAEMON_CALL_RPC_H_
#define INTERPD_DAEMON_CALL_RPC_H_

#include <memory>

#include "daemon/call_work.h"
#include "daemon/raw_services.h"
#include "daemon/rpc.h"
#include "interp/interpreter.h"

namespace interpd::daemon {

class CallRpc final : public UnaryRpc<v1::CallRequest, v1::CallResponse>, public CallWork::Owner {
 public:
  CallRpc(ServerState& state, RawInterpreters& service)
      : UnaryRpc(state, RuleOf("interpd.v1.Interpreters/Call")), service_(service) {}

 private:
  void Listen(void* tag) override;
  Rpc* Another() const override { return new CallRpc(state_, service_); }
  void Handle(v1::CallRequest& request) override;
  void OnCancelled() override;
  void CallEnded(CallWork& work) override;

  // Queues the work. An error: it will not run.
  absl::Status Submit(v1::CallRequest& request);

  RawInterpreters& service_;
  std::shared_ptr<interp::Interpreter> interpreter_;
  std::shared_ptr<CallWork> work_;  // while it waits or runs
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_CALL_RPC_H_
