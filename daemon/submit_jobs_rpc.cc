#include "daemon/submit_jobs_rpc.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "daemon/create_requests.h"
#include "daemon/jobs/job_errors.h"
#include "daemon/jobs/job_proto.h"

namespace interpd::daemon {
namespace {

constexpr int kMaxJobs = 1000;

// What takes no longer to decode than to hand to another thread.
constexpr size_t kQuickBytes = 16 << 10;

absl::Status CheckFirst(const v1::SubmitJobsRequest& request) {
  if (request.jobs_size() == 0) return InvalidField("jobs", "is empty");
  if (request.jobs_size() > kMaxJobs) {
    return InvalidField("jobs", absl::StrCat("has ", request.jobs_size(), " jobs; a request may have ", kMaxJobs));
  }
  if (request.has_values()) return InvalidField("values", "belong into further messages; the first has jobs[].values");
  return CheckRequestId(request.request_id());
}

}  // namespace

void SubmitJobsRpc::Listen(void* tag) {
  service_.RequestSubmit(&context_, &stream_, state_.loop.queue(), state_.loop.queue(), tag);
}

void SubmitJobsRpc::OnAccepted() {
  state_.open_streams.insert(this);
  names_ = &state_.NamesOf(principal());
  if (state_.draining) return Fail(ServerDraining());
  if (state_.jobs == nullptr) return Fail(JobsDisabled());
  Read();
}

void SubmitJobsRpc::OnRead(bool ok) {
  if (finished()) return;
  if (!ended_.ok()) return End(ended_);
  if (!ok) return End(InvalidField("more", "was set, or there was no message at all, and the stream has ended"));
  v1::SubmitJobsRequest request;
  absl::Status status = Parse(request_bytes_, &request);
  if (!status.ok()) return End(status);
  last_ = !request.more();
  if (!std::exchange(has_first_, true)) return TakeFirst(std::move(request));
  if (request.jobs_size() > 0) return End(InvalidField("jobs", "may be in the first message only"));
  TakeInputs(std::move(request));
}

// ---- the first message ----------------------------------------------------------------------------------------------

void SubmitJobsRpc::TakeFirst(v1::SubmitJobsRequest request) {
  absl::Status status = CheckFirst(request);
  if (!status.ok()) return End(status);
  request_id_ = request.request_id();
  busy_ = true;
  Ref();  // until the engine's answer
  // A reload changes them in the event loop.
  interp::InterpreterConfig defaults = state_.options.interpreter_defaults;
  if (request.ByteSizeLong() <= kQuickBytes) return SubmitJobs(DecodeJobs(std::move(request), defaults));
  state_.jobs->thread.Submit([this, request = std::move(request), defaults = std::move(defaults)]() mutable {
    state_.loop.Post(
        [this, jobs = DecodeJobs(std::move(request), defaults)]() mutable { SubmitJobs(std::move(jobs)); });
  });
}

// Any thread.
SubmitJobsRpc::Jobs SubmitJobsRpc::DecodeJobs(v1::SubmitJobsRequest request,
                                              const interp::InterpreterConfig& defaults) {
  std::vector<NewJob> jobs;
  for (v1::JobSpec& spec : *request.mutable_jobs()) {
    absl::StatusOr<NewJob> job = DecodeJob(std::move(spec), jobs.size(), defaults, *names_);
    if (!job.ok()) return job.status();
    jobs.push_back(*std::move(job));
  }
  return jobs;
}

void SubmitJobsRpc::SubmitJobs(Jobs jobs) {
  JobEngine::Answer answer = Then(last_ ? &SubmitJobsRpc::Submitted : &SubmitJobsRpc::Opened);
  if (!jobs.ok() || !ended_.ok()) return std::move(answer)(jobs.ok() ? ended_ : jobs.status());
  state_.jobs->engine.Submit(principal().space, request_id_, *std::move(jobs), last_, std::move(answer));
}

void SubmitJobsRpc::Opened(std::vector<JobRecord> jobs) {
  // Submitted before, and repeated: whatever inputs the client sends again are known.
  if (jobs[0].state != kReceivingInputs) return Submitted(std::move(jobs));
  for (const JobRecord& job : jobs) {
    upload_.push_back(job.id);
    takes_values_.push_back(job.spec.has_values());
  }
  if (!ended_.ok()) return End(ended_);
  Read();
}

// ---- further messages -----------------------------------------------------------------------------------------------

void SubmitJobsRpc::TakeInputs(v1::SubmitJobsRequest request) {
  if (state_.jobs->closing) return End(ServerDraining());
  if (!request.has_values()) return FinishIfLast();
  if (request.job_index() < 0 || static_cast<size_t>(request.job_index()) >= upload_.size()) {
    return End(InvalidField("job_index", absl::StrCat("is ", request.job_index(), ", which none of the jobs has")));
  }
  if (!takes_values_[static_cast<size_t>(request.job_index())]) {
    return End(InvalidField("job_index", "is that of a job without `values`, which takes no inputs"));
  }
  busy_ = true;
  Ref();
  const int64_t job = upload_[static_cast<size_t>(request.job_index())];
  state_.jobs->thread.Submit([this, job, request = std::move(request)] {
    Inputs inputs = DecodeInputs(request.values(), *names_);
    JobEngine::Answer answer = Then(&SubmitJobsRpc::Added);
    if (inputs.ok()) {
      state_.jobs->engine.AddInputs(job, *std::move(inputs), std::move(answer));
    } else {
      std::move(answer)(inputs.status());
    }
  });
}

void SubmitJobsRpc::Added(std::vector<JobRecord>) {
  if (!ended_.ok()) return End(ended_);
  FinishIfLast();
}

void SubmitJobsRpc::FinishIfLast() {
  if (!last_) return Read();
  if (state_.jobs->closing) return End(ServerDraining());
  busy_ = true;
  Ref();
  state_.jobs->engine.FinishUpload(std::exchange(upload_, {}), Then(&SubmitJobsRpc::Submitted));
}

// ---- the end --------------------------------------------------------------------------------------------------------

// Takes over a reference of its caller's. Any thread.
JobEngine::Answer SubmitJobsRpc::Then(void (SubmitJobsRpc::*step)(std::vector<JobRecord> jobs)) {
  return [this, step](absl::StatusOr<std::vector<JobRecord>> jobs) {
    state_.loop.Post([this, step, jobs = std::move(jobs)]() mutable {
      busy_ = false;
      if (jobs.ok()) {
        (this->*step)(*std::move(jobs));
      } else {
        End(jobs.status());
      }
      Unref();
    });
  };
}

void SubmitJobsRpc::Submitted(std::vector<JobRecord> jobs) {
  v1::SubmitJobsResponse response;
  for (const JobRecord& job : jobs) EncodeJob(job, 0, principal(), response.add_jobs());
  for (const v1::Job& job : response.jobs()) Touches(job.name());
  Reply(response);
}

void SubmitJobsRpc::End(const absl::Status& status) {
  if (finished()) return;
  if (busy_ || reading()) {
    if (ended_.ok()) ended_ = status;
    if (busy_) return;
  }
  if (!upload_.empty()) state_.jobs->engine.DropUpload(std::exchange(upload_, {}));
  Fail(status);
}

}  // namespace interpd::daemon
