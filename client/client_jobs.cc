// The methods of Client that deal with jobs.
#include <grpcpp/support/sync_stream.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "client/client.h"
#include "client/client_impl.h"
#include "client/value_batch.h"

namespace interpd::client {
namespace {

constexpr char kCollection[] = "jobs/";

// Of one message with inputs: far below the limit of 64 MiB, and bounded in number since small ones cost more memory
// than they have bytes.
constexpr size_t kMaxBatchBytes = size_t{1} << 20;
constexpr int kMaxBatch = 65536;

constexpr int kMaxPageSize = 1000;

using Writer = grpc::ClientWriter<v1::SubmitJobsRequest>;

// Sends the inputs of job number `index`. False: the RPC has ended, and its status says why.
absl::StatusOr<bool> WriteInputs(Writer& writer, int index, JobInputs& inputs) {
  v1::SubmitJobsRequest message;
  for (bool more = true; more;) {
    message.Clear();
    message.set_job_index(index);
    message.set_more(true);
    size_t bytes = 0;
    for (int count = 0; count < kMaxBatch && bytes < kMaxBatchBytes; ++count) {
      absl::StatusOr<std::optional<v1::Value>> value = inputs.Next();
      if (!value.ok()) return value.status();
      more = value->has_value();
      if (!more) break;
      bytes += (*value)->ByteSizeLong();
      AppendValue(**std::move(value), message.mutable_values());
    }
    if (message.has_values() && !writer.Write(message)) return false;
  }
  return true;
}

}  // namespace

absl::StatusOr<std::vector<v1::Job>> Client::SubmitJobs(v1::SubmitJobsRequest request,
                                                        std::span<const std::unique_ptr<JobInputs>> inputs,
                                                        const RpcOptions& options) {
  if (request.request_id().empty()) request.set_request_id(MakeRequestId());
  for (v1::JobSpec& job : *request.mutable_jobs()) {
    for (std::string& name : *job.mutable_after()) name = JobResourceName(name);
  }
  request.set_more(absl::c_any_of(inputs, [](const std::unique_ptr<JobInputs>& one) { return one != nullptr; }));
  const auto submit = [&](const RpcOptions& remaining) -> absl::StatusOr<std::vector<v1::Job>> {
    RpcContext context(remaining);
    v1::SubmitJobsResponse response;
    std::unique_ptr<Writer> writer = impl_->jobs->Submit(context.get(), &response);
    absl::StatusOr<bool> accepted = writer->Write(request);
    for (size_t i = 0; i < inputs.size() && accepted.ok() && *accepted; ++i) {
      if (inputs[i] != nullptr) accepted = WriteInputs(*writer, static_cast<int>(i), *inputs[i]);
    }
    // Only now it is known that these were all.
    if (request.more() && accepted.ok() && *accepted) writer->Write(v1::SubmitJobsRequest());
    if (!accepted.ok()) context.get()->TryCancel();
    writer->WritesDone();
    grpc::Status status = writer->Finish();
    if (!accepted.ok()) return accepted.status();
    if (!status.ok()) return ToAbslStatus(status);
    return std::vector<v1::Job>(std::make_move_iterator(response.mutable_jobs()->begin()),
                                std::make_move_iterator(response.mutable_jobs()->end()));
  };
  const auto rewind = [&] {
    return absl::c_all_of(inputs, [](const std::unique_ptr<JobInputs>& one) { return !one || one->Rewind(); });
  };
  return impl_->Repeat<std::vector<v1::Job>>(submit, rewind, options);
}

absl::StatusOr<v1::Job> Client::GetJob(std::string_view name, const RpcOptions& options) {
  v1::GetJobRequest request;
  request.set_name(JobResourceName(name));
  return impl_->Unary(*impl_->jobs, &v1::Jobs::Stub::Get, request, options);
}

absl::StatusOr<v1::ListJobsResponse> Client::ListJobs(const v1::ListJobsRequest& request, const RpcOptions& options) {
  return impl_->Unary(*impl_->jobs, &v1::Jobs::Stub::List, request, options);
}

absl::StatusOr<std::vector<v1::Job>> Client::ListJobs(v1::ListJobsRequest request, int64_t limit,
                                                      const RpcOptions& options) {
  std::vector<v1::Job> jobs;
  if (!request.parent().empty()) request.set_parent(JobResourceName(request.parent()));
  do {
    const int64_t left = limit - static_cast<int64_t>(jobs.size());
    if (left <= 0) break;
    request.set_page_size(static_cast<int32_t>(std::min<int64_t>(left, kMaxPageSize)));
    absl::StatusOr<v1::ListJobsResponse> page = ListJobs(request, options);
    if (!page.ok()) return page.status();
    for (v1::Job& job : *page->mutable_jobs()) jobs.push_back(std::move(job));
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  return jobs;
}

absl::Status Client::WatchJobs(std::span<const std::string> names,
                               std::function<void(const v1::WatchJobsResponse&)> on_change, const RpcOptions& options) {
  v1::WatchJobsRequest request;
  for (const std::string& name : names) request.add_names(JobResourceName(name));
  RpcContext context(options);
  std::unique_ptr<grpc::ClientReader<v1::WatchJobsResponse>> reader = impl_->jobs->Watch(context.get(), request);
  v1::WatchJobsResponse response;
  while (reader->Read(&response)) on_change(response);
  return ToAbslStatus(reader->Finish());
}

absl::Status Client::JobLogs(v1::JobLogsRequest request, std::function<void(const v1::JobLogsResponse&)> on_log,
                             const RpcOptions& options) {
  request.set_name(JobResourceName(request.name()));
  RpcContext context(options);
  std::unique_ptr<grpc::ClientReader<v1::JobLogsResponse>> reader = impl_->jobs->Logs(context.get(), request);
  v1::JobLogsResponse response;
  while (reader->Read(&response)) on_log(response);
  return ToAbslStatus(reader->Finish());
}

absl::Status Client::JobResults(v1::JobResultsRequest request, std::function<void(const v1::Task&)> on_task,
                                const RpcOptions& options) {
  request.set_name(JobResourceName(request.name()));
  RpcContext context(options);
  std::unique_ptr<grpc::ClientReader<v1::JobResultsResponse>> reader = impl_->jobs->Results(context.get(), request);
  v1::JobResultsResponse response;
  while (reader->Read(&response)) {
    for (const v1::Task& task : response.tasks()) on_task(task);
  }
  return ToAbslStatus(reader->Finish());
}

absl::StatusOr<v1::Job> Client::CancelJob(std::string_view name, const RpcOptions& options) {
  v1::CancelJobRequest request;
  request.set_name(JobResourceName(name));
  return impl_->Unary(*impl_->jobs, &v1::Jobs::Stub::Cancel, request, options);
}

absl::StatusOr<v1::Job> Client::RetryJob(std::string_view name, const RpcOptions& options) {
  v1::RetryJobRequest request;
  request.set_name(JobResourceName(name));
  return impl_->Unary(*impl_->jobs, &v1::Jobs::Stub::Retry, request, options);
}

absl::Status Client::DeleteJob(std::string_view name, const RpcOptions& options) {
  v1::DeleteJobRequest request;
  request.set_name(JobResourceName(name));
  return impl_->Unary(*impl_->jobs, &v1::Jobs::Stub::Delete, request, options).status();
}

std::string JobResourceName(std::string_view name_or_id) { return absl::StrCat(kCollection, JobId(name_or_id)); }

std::string_view JobId(std::string_view name_or_id) { return absl::StripPrefix(name_or_id, kCollection); }

}  // namespace interpd::client
