// Interpreters.Logs: what an interpreter wrote while no exec or call ran.
#ifndef INTERPD_DAEMON_LOGS_RPC_H_
#define INTERPD_DAEMON_LOGS_RPC_H_

#include <atomic>
#include <cstdint>
#include <memory>

#include "daemon/raw_services.h"
#include "daemon/rpc.h"
#include "interp/interpreter.h"

namespace interpd::daemon {

class LogsRpc final : public ServerStreamRpc<v1::LogsRequest, v1::LogsResponse> {
 public:
  LogsRpc(ServerState& state, RawInterpreters& service)
      : ServerStreamRpc(state, RuleOf("interpd.v1.Interpreters/Logs")), service_(service) {}

 private:
  class Listener;

  ~LogsRpc() override;

  void Listen(void* tag) override;
  Rpc* Another() const override { return new LogsRpc(state_, service_); }
  void Handle(v1::LogsRequest& request) override;
  void OnWritten(bool ok) override;
  void OnCancelled() override;
  void OnShutdown() override;

  // Writes what is new; ends the call when nothing more can come.
  void Advance();
  // Ends the call now or, while a message is on its way, after that.
  void End(absl::Status status);

  RawInterpreters& service_;
  std::shared_ptr<interp::Interpreter> interpreter_;
  std::shared_ptr<Listener> listener_;  // while it follows
  uint64_t cursor_ = 0;
  bool ending_ = false;
  absl::Status last_status_;
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_LOGS_RPC_H_
