// Interpreters.Exec: runs source code and streams what it writes.
#ifndef INTERPD_DAEMON_EXEC_RPC_H_
#define INTERPD_DAEMON_EXEC_RPC_H_

#include <memory>

#include "daemon/exec_work.h"
#include "daemon/raw_services.h"
#include "daemon/rpc.h"
#include "interp/interpreter.h"

namespace interpd::daemon {

class ExecRpc final : public ServerStreamRpc<v1::ExecRequest, v1::ExecResponse>, public ExecWork::Owner {
 public:
  ExecRpc(ServerState& state, RawInterpreters& service)
      : ServerStreamRpc(state, RuleOf("interpd.v1.Interpreters/Exec")), service_(service) {}

 private:
  void Listen(void* tag) override;
  Rpc* Another() const override { return new ExecRpc(state_, service_); }
  void Handle(v1::ExecRequest& request) override;
  void OnCancelled() override;
  void OnWritten(bool ok) override;
  void ExecMoved(ExecWork& work) override;

  absl::Status Submit(v1::ExecRequest& request);
  // Writes what there is, one message at a time, and then the result.
  void Advance();

  RawInterpreters& service_;
  std::shared_ptr<interp::Interpreter> interpreter_;
  std::shared_ptr<ExecWork> work_;  // until its result has been sent
  size_t being_written_ = 0;        // bytes of output in the message on its way
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_EXEC_RPC_H_
