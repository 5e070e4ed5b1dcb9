// Constants.Put and Constants.Delete: what works on files and builds objects, on threads of the daemon's own.
#ifndef INTERPD_DAEMON_CONSTANT_RPC_H_
#define INTERPD_DAEMON_CONSTANT_RPC_H_

#include <grpcpp/alarm.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

#include "daemon/constant_store.h"
#include "daemon/raw_services.h"
#include "daemon/rpc.h"

namespace interpd::daemon {

class PutConstantRpc final : public ClientStreamRpc<v1::PutConstantResponse> {
 public:
  PutConstantRpc(ServerState& state, RawConstants& service)
      : ClientStreamRpc(state, RuleOf("interpd.v1.Constants/Put")), service_(service) {}

 private:
  ~PutConstantRpc() override;

  void Listen(void* tag) override;
  Rpc* Another() const override { return new PutConstantRpc(state_, service_); }
  void OnAccepted() override;
  void OnRead(bool ok) override;
  void OnCancelled() override { End(CancelledByClient()); }
  void OnShutdown() override { End(ServerDraining()); }

  absl::Status Begin(const v1::PutConstantRequest::Options& options);
  absl::Status Take(const v1::PutConstantRequest& request);
  // Waits a while for more content, which is counted until then; and fails the call if too little has come.
  void BePatient();
  void Waited(bool ok);
  // Fails a call whose content is not all here.
  void FailEarly(const absl::Status& status);
  // All is here: puts it, on a thread for that.
  void Put();
  // Fails the call, or has the thread that puts it give up.
  void End(const absl::Status& status);

  RawConstants& service_;
  std::string id_;  // empty: the first message has not come
  Persist persist_ = Persist::kNo;
  ConstantContent content_;
  int64_t held_bytes_ = 0;  // counted in the state
  size_t size_before_ = 0;  // of the content, when it was last looked at
  bool putting_ = false;
  absl::Status ended_;  // what the call ends with once the thread has given up
  std::atomic<bool> give_up_{false};
  grpc::Alarm alarm_;
  Operation waited_{this, static_cast<void (Rpc::*)(bool)>(&PutConstantRpc::Waited)};
};

class DeleteConstantRpc final : public UnaryRpc<v1::DeleteConstantRequest, v1::Constant> {
 public:
  DeleteConstantRpc(ServerState& state, RawConstants& service)
      : UnaryRpc(state, RuleOf("interpd.v1.Constants/Delete")), service_(service) {}

 private:
  void Listen(void* tag) override;
  Rpc* Another() const override { return new DeleteConstantRpc(state_, service_); }
  void Handle(v1::DeleteConstantRequest& request) override;

  RawConstants& service_;
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_CONSTANT_RPC_H_
