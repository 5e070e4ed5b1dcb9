// Client: a daemon's interpreters from C++, over gRPC.
//
// Who includes this: programs that use interpd; interpctl is one.
//
//   absl::StatusOr<std::unique_ptr<Client>> client = Client::Connect("unix:/run/interpd/interpd.sock");
//   absl::StatusOr<v1::Interpreter> interpreter = (*client)->Create({});
//   v1::CallRequest call;
//   call.set_name(interpreter->name());
//   call.set_target("math:sqrt");
//   call.add_args()->set_int_(2);
//   absl::StatusOr<v1::CallResponse> response = (*client)->Call(call);
//
// Errors: absl::Status; ErrorReason(status) of client/rpc_error.h says why. An exception that the hosted code raised is
// no error: it is in the response (ExceptionInfo). Names may be given as `interpreters/ID`, `channels/ID`,
// `constants/ID`, `jobs/ID` or as the bare ID.
//
// Thread safety: all methods may be called by any thread. Callbacks of the ...Async methods run on the client's one
// polling thread, one at a time: they may begin RPCs, but must not block, wait for one, or destroy the Client.
#ifndef INTERPD_CLIENT_CLIENT_H_
#define INTERPD_CLIENT_CLIENT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/cord.h"
#include "absl/time/time.h"
#include "client/call_pipeline.h"
#include "client/cancellation.h"
#include "client/channel_stream.h"
#include "client/constant_value.h"
#include "client/job_inputs.h"
#include "client/rpc_error.h"
#include "client/rpc_options.h"
#include "interpd/v1/admin.pb.h"
#include "interpd/v1/channels.pb.h"
#include "interpd/v1/constants.pb.h"
#include "interpd/v1/interpreters.pb.h"
#include "interpd/v1/jobs.pb.h"

namespace interpd::client {

struct ConnectOptions {
  // How long to wait for the connection.
  absl::Duration timeout = absl::Seconds(5);
  // Whether to keep trying until then when nobody listens yet. False: that is an error at once.
  bool wait_for_daemon = false;
  // TCP: the file with the certificates (PEM) to trust. Empty: those of the system.
  std::string tls_ca_file;
  // TCP: the files with our own certificate chain and its private key (PEM), for a daemon that asks for one. Both or
  // none.
  std::string tls_cert_file;
  std::string tls_key_file;
  // TCP: a file with the token that says who we are, for a daemon that asks for one.
  std::string token_file;
  // TCP: no TLS, and no token. On loopback only.
  bool insecure = false;
};

struct PutConstantOptions {
  // A restart of the daemon brings it back; the daemon needs a directory for that.
  bool persist = false;
  // Called on the caller's thread as pieces go out, with the bytes that are gone and those there are; once all are
  // gone, the daemon builds it.
  std::function<void(int64_t sent, int64_t total)> on_progress;
};

class Client {
 public:
  // Gets what an RPC was answered.
  template <typename Response>
  using Callback = absl::AnyInvocable<void(absl::StatusOr<Response>)>;

  // UNAVAILABLE when no daemon answers at `address` (client/address.h), INVALID_ARGUMENT when it is no address.
  static absl::StatusOr<std::unique_ptr<Client>> Connect(std::string_view address, const ConnectOptions& options = {});

  // Waits for RPCs in flight. Pipelines must be gone.
  ~Client();

  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // ---- One RPC, waiting for its answer -----------------------------------------------------------------------------

  // Gives the request a request_id if it has none, so that it is safe to repeat, and repeats it when the connection
  // breaks.
  absl::StatusOr<v1::Interpreter> Create(v1::CreateRequest request, const RpcOptions& options = {});
  absl::StatusOr<v1::Interpreter> Get(std::string_view name, const RpcOptions& options = {});
  // All pages.
  absl::StatusOr<std::vector<v1::Interpreter>> List(const RpcOptions& options = {});
  // One page.
  absl::StatusOr<v1::ListResponse> List(const v1::ListRequest& request, const RpcOptions& options = {});
  absl::StatusOr<v1::CallResponse> Call(v1::CallRequest request, const RpcOptions& options = {});
  absl::StatusOr<v1::InterruptResponse> Interrupt(std::string_view name, const RpcOptions& options = {});
  absl::StatusOr<v1::Interpreter> Close(v1::CloseRequest request, const RpcOptions& options = {});
  absl::StatusOr<v1::Info> GetInfo(const RpcOptions& options = {});
  absl::StatusOr<v1::Stats> GetStats(const RpcOptions& options = {});
  absl::StatusOr<v1::DrainResponse> Drain(const v1::DrainRequest& request, const RpcOptions& options = {});

  // Calls `on_output` on this thread for each piece of output as it comes, and returns the result.
  absl::StatusOr<v1::ExecResult> Exec(v1::ExecRequest request, std::function<void(const v1::Output&)> on_output,
                                      const RpcOptions& options = {});

  // Calls `on_entry` on this thread for each piece of the log. OK when the log, or with `follow` the interpreter, ends.
  absl::Status Logs(v1::LogsRequest request, std::function<void(const v1::LogsResponse&)> on_entry,
                    const RpcOptions& options = {});

  // ---- The same without waiting ------------------------------------------------------------------------------------

  // Gives the request a request_id, but does not repeat it.
  void CreateAsync(v1::CreateRequest request, Callback<v1::Interpreter> callback, const RpcOptions& options = {});
  void GetAsync(std::string_view name, Callback<v1::Interpreter> callback, const RpcOptions& options = {});
  void CallAsync(v1::CallRequest request, Callback<v1::CallResponse> callback, const RpcOptions& options = {});
  void InterruptAsync(std::string_view name, Callback<v1::InterruptResponse> callback, const RpcOptions& options = {});
  void CloseAsync(v1::CloseRequest request, Callback<v1::Interpreter> callback, const RpcOptions& options = {});
  void ExecAsync(v1::ExecRequest request, std::function<void(const v1::Output&)> on_output,
                 Callback<v1::ExecResult> callback, const RpcOptions& options = {});
  void LogsAsync(v1::LogsRequest request, std::function<void(const v1::LogsResponse&)> on_entry,
                 absl::AnyInvocable<void(absl::Status)> on_end, const RpcOptions& options = {});

  // ---- Channels ----------------------------------------------------------------------------------------------------

  // As Create above.
  absl::StatusOr<v1::Channel> CreateChannel(v1::CreateChannelRequest request, const RpcOptions& options = {});
  absl::StatusOr<v1::Channel> GetChannel(std::string_view name, const RpcOptions& options = {});
  // All pages.
  absl::StatusOr<std::vector<v1::Channel>> ListChannels(const RpcOptions& options = {});
  // One page.
  absl::StatusOr<v1::ListChannelsResponse> ListChannels(const v1::ListChannelsRequest& request,
                                                        const RpcOptions& options = {});
  absl::StatusOr<v1::Channel> CloseChannel(v1::CloseChannelRequest request, const RpcOptions& options = {});
  // Waits while the channel is full.
  absl::Status Send(v1::SendRequest request, const RpcOptions& options = {});
  // Sends all of them, in order, and returns when they are in the channel. CHANNEL_CLOSED says under the metadata key
  // `sent` how many are.
  absl::Status SendMany(std::string_view name, std::vector<v1::Value> values, const RpcOptions& options = {});

  void CreateChannelAsync(v1::CreateChannelRequest request, Callback<v1::Channel> callback,
                          const RpcOptions& options = {});
  void GetChannelAsync(std::string_view name, Callback<v1::Channel> callback, const RpcOptions& options = {});
  void CloseChannelAsync(v1::CloseChannelRequest request, Callback<v1::Channel> callback,
                         const RpcOptions& options = {});
  void SendAsync(v1::SendRequest request, Callback<v1::SendResponse> callback, const RpcOptions& options = {});

  // Sends and receives many values on one stream (client/channel_stream.h). Must be destroyed before the client.
  std::unique_ptr<ChannelStream> OpenChannelStream(ChannelStreamOptions stream, const RpcOptions& options = {});

  // ---- Constants ---------------------------------------------------------------------------------------------------

  // `constant` is made by client/constant_value.h. Returns when interpreters can see it.
  absl::StatusOr<v1::PutConstantResponse> PutConstant(std::string_view name, const absl::Cord& constant,
                                                      const PutConstantOptions& put = {},
                                                      const RpcOptions& options = {});
  absl::StatusOr<v1::Constant> GetConstant(std::string_view name, const RpcOptions& options = {});
  // All pages.
  absl::StatusOr<std::vector<v1::Constant>> ListConstants(const RpcOptions& options = {});
  // One page.
  absl::StatusOr<v1::ListConstantsResponse> ListConstants(const v1::ListConstantsRequest& request,
                                                          const RpcOptions& options = {});
  absl::StatusOr<v1::Constant> DeleteConstant(std::string_view name, const RpcOptions& options = {});

  // ---- Jobs --------------------------------------------------------------------------------------------------------

  // Submits the jobs of `request`, all or none, and returns them when they are on the daemon's disk. `inputs[i]`, if
  // there is one and it is not null, gives the inputs of jobs(i), which has `values`, behind those that stand there.
  // They are sent as they come: a million of them need no more memory than a thousand.
  //
  // Gives the request a request_id if it has none, so that it is safe to repeat, and repeats it when the connection
  // breaks, if all inputs can begin again.
  absl::StatusOr<std::vector<v1::Job>> SubmitJobs(v1::SubmitJobsRequest request,
                                                  std::span<const std::unique_ptr<JobInputs>> inputs = {},
                                                  const RpcOptions& options = {});
  absl::StatusOr<v1::Job> GetJob(std::string_view name, const RpcOptions& options = {});
  // One page.
  absl::StatusOr<v1::ListJobsResponse> ListJobs(const v1::ListJobsRequest& request, const RpcOptions& options = {});
  // Those that `request` asks for, page by page, until there are `limit` of them. Its page size and token are ours.
  absl::StatusOr<std::vector<v1::Job>> ListJobs(v1::ListJobsRequest request, int64_t limit,
                                                const RpcOptions& options = {});
  // Calls `on_change` on this thread with all of these jobs, and then with those that have changed. OK when all have
  // ended.
  absl::Status WatchJobs(std::span<const std::string> names,
                         std::function<void(const v1::WatchJobsResponse&)> on_change, const RpcOptions& options = {});
  // Calls `on_log` on this thread for each piece of what tasks have written. OK when there is no more, or with `follow`
  // when the job has ended.
  absl::Status JobLogs(v1::JobLogsRequest request, std::function<void(const v1::JobLogsResponse&)> on_log,
                       const RpcOptions& options = {});
  // Calls `on_task` on this thread for each task, in the order of their indexes. OK as above.
  absl::Status JobResults(v1::JobResultsRequest request, std::function<void(const v1::Task&)> on_task,
                          const RpcOptions& options = {});
  absl::StatusOr<v1::Job> CancelJob(std::string_view name, const RpcOptions& options = {});
  absl::StatusOr<v1::Job> RetryJob(std::string_view name, const RpcOptions& options = {});
  absl::Status DeleteJob(std::string_view name, const RpcOptions& options = {});

  // ---- The connection ----------------------------------------------------------------------------------------------

  // Waits until the daemon can be reached, which may be one that was started in the meantime. False: not until then.
  bool WaitUntilConnected(absl::Time deadline);

  // ---- Many calls on one stream ------------------------------------------------------------------------------------

  // A pipeline of calls (client/call_pipeline.h). Must be destroyed before the client.
  std::unique_ptr<CallPipeline> OpenPipeline(PipelineOptions pipeline = {}, const RpcOptions& options = {});

 private:
  struct Impl;
  explicit Client(std::unique_ptr<Impl> impl);

  const std::unique_ptr<Impl> impl_;
};

// "interpreters/ID" of a name or a bare ID, and the other way round.
std::string ResourceName(std::string_view name_or_id);
std::string_view ResourceId(std::string_view name_or_id);

// "channels/ID" of a name or a bare ID, and the other way round.
std::string ChannelResourceName(std::string_view name_or_id);
std::string_view ChannelId(std::string_view name_or_id);

// "constants/ID" of a name or a bare ID, and the other way round.
std::string ConstantResourceName(std::string_view name_or_id);
std::string_view ConstantId(std::string_view name_or_id);

// "jobs/ID" of a name or a bare ID, and the other way round.
std::string JobResourceName(std::string_view name_or_id);
std::string_view JobId(std::string_view name_or_id);

}  // namespace interpd::client

#endif  // INTERPD_CLIENT_CLIENT_H_
