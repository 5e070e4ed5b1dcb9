// Jobs.Submit: one message, or an upload of inputs in many.
#ifndef INTERPD_DAEMON_SUBMIT_JOBS_RPC_H_
#define INTERPD_DAEMON_SUBMIT_JOBS_RPC_H_

#include <cstdint>
#include <string>
#include <vector>

#include "daemon/jobs_state.h"
#include "daemon/raw_services.h"
#include "daemon/rpc.h"

namespace interpd::daemon {

// One step at a time: a message is decoded (on a thread for that, unless it is small) and given to the engine; only
// then the next one is read. So an upload waits for the disk, and the client for the upload.
class SubmitJobsRpc final : public ClientStreamRpc<v1::SubmitJobsResponse> {
 public:
  SubmitJobsRpc(ServerState& state, RawJobs& service)
      : ClientStreamRpc(state, RuleOf("interpd.v1.Jobs/Submit")), service_(service) {}

 private:
  using Jobs = absl::StatusOr<std::vector<NewJob>>;
  using Inputs = absl::StatusOr<std::vector<InputBatch>>;

  void Listen(void* tag) override;
  Rpc* Another() const override { return new SubmitJobsRpc(state_, service_); }
  void OnAccepted() override;
  void OnRead(bool ok) override;
  void OnCancelled() override { End(CancelledByClient()); }
  void OnShutdown() override { End(ServerDraining()); }

  void TakeFirst(v1::SubmitJobsRequest request);
  void TakeInputs(v1::SubmitJobsRequest request);
  Jobs DecodeJobs(v1::SubmitJobsRequest request, const interp::InterpreterConfig& defaults);
  void SubmitJobs(Jobs jobs);
  void FinishIfLast();

  // What the engine is to call: goes on with `step` in the event loop, or ends the call.
  JobEngine::Answer Then(void (SubmitJobsRpc::*step)(std::vector<JobRecord> jobs));
  void Opened(std::vector<JobRecord> jobs);
  void Added(std::vector<JobRecord> jobs);
  void Submitted(std::vector<JobRecord> jobs);
  // Fails the call, now or when the step under way is done. What was submitted meanwhile is answered nevertheless.
  void End(const absl::Status& status);

  RawJobs& service_;
  ChannelNames* names_ = nullptr;  // of channels, as the client says them
  std::string request_id_;
  bool has_first_ = false;
  bool last_ = false;               // no more messages follow
  std::vector<int64_t> upload_;     // ids of the jobs whose inputs come
  std::vector<bool> takes_values_;  // of each of them
  bool busy_ = false;               // a step is under way
  absl::Status ended_;              // why the call is to end after it
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_SUBMIT_JOBS_RPC_H_
