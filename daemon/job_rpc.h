// Jobs.Get, List, Cancel, Retry and Delete: one request, one answer, from the journal or by the engine.
#ifndef INTERPD_DAEMON_JOB_RPC_H_
#define INTERPD_DAEMON_JOB_RPC_H_

#include <string>
#include <utility>

#include "daemon/jobs/job_errors.h"
#include "daemon/jobs/job_proto.h"
#include "daemon/jobs_state.h"
#include "daemon/raw_services.h"
#include "daemon/rpc.h"

namespace interpd::daemon {

// Answers with what a function reads from the journal, on the thread for that.
template <typename Request, typename Response>
class JobReadRpc : public UnaryRpc<Request, Response> {
 protected:
  JobReadRpc(ServerState& state, const AccessRule& rule, RawJobs& service)
      : UnaryRpc<Request, Response>(state, rule), service_(service) {}

  // Runs on the jobs' thread, and touches nothing else.
  virtual absl::Status ReadAnswer(const Principal& principal, const Request& request, const JobsState& jobs,
                                  Response* response) = 0;

  RawJobs& service_;

 private:
  void Handle(Request& request) override {
    ServerState& state = this->state_;
    if (state.jobs == nullptr) return this->Fail(JobsDisabled());
    if (state.jobs->closing) return this->Fail(ServerDraining());
    this->Ref();
    state.jobs->thread.Submit([this, &state, &principal = this->principal(), request = std::move(request)] {
      Response response;
      absl::Status status = ReadAnswer(principal, request, *state.jobs, &response);
      state.loop.Post([this, status = std::move(status), response = std::move(response)] {
        if (status.ok()) {
          this->Reply(response);
        } else {
          this->Fail(status);
        }
        this->Unref();
      });
    });
  }
};

class GetJobRpc final : public JobReadRpc<v1::GetJobRequest, v1::Job> {
 public:
  GetJobRpc(ServerState& state, RawJobs& service) : JobReadRpc(state, RuleOf("interpd.v1.Jobs/Get"), service) {}

 private:
  void Listen(void* tag) override;
  Rpc* Another() const override { return new GetJobRpc(state_, service_); }
  absl::Status ReadAnswer(const Principal& principal, const v1::GetJobRequest& request, const JobsState& jobs,
                          v1::Job* response) override;
};

class ListJobsRpc final : public JobReadRpc<v1::ListJobsRequest, v1::ListJobsResponse> {
 public:
  ListJobsRpc(ServerState& state, RawJobs& service) : JobReadRpc(state, RuleOf("interpd.v1.Jobs/List"), service) {}

 private:
  void Listen(void* tag) override;
  Rpc* Another() const override { return new ListJobsRpc(state_, service_); }
  absl::Status ReadAnswer(const Principal& principal, const v1::ListJobsRequest& request, const JobsState& jobs,
                          v1::ListJobsResponse* response) override;
};

// Has the engine do something to one job.
template <typename Request, typename Response>
class JobCommandRpc : public UnaryRpc<Request, Response> {
 protected:
  JobCommandRpc(ServerState& state, const AccessRule& rule, RawJobs& service)
      : UnaryRpc<Request, Response>(state, rule), service_(service) {}

  virtual void Command(JobEngine& engine, const std::string& owner, std::string name, JobEngine::Answer done) = 0;
  virtual void Encode(const JobRecord& record, Response* response) = 0;

  RawJobs& service_;

 private:
  void Handle(Request& request) override {
    ServerState& state = this->state_;
    if (state.draining) return this->Fail(ServerDraining());
    if (state.jobs == nullptr) return this->Fail(JobsDisabled());
    absl::StatusOr<std::string_view> id = ParseJobName(request.name());
    if (!id.ok()) return this->Fail(id.status());
    this->Ref();
    Command(state.jobs->engine, this->principal().space, std::string(*id),
            [this, &state](absl::StatusOr<std::vector<JobRecord>> jobs) {
              state.loop.Post([this, jobs = std::move(jobs)] {
                if (jobs.ok()) {
                  Response response;
                  Encode(jobs->front(), &response);
                  this->Reply(response);
                } else {
                  this->Fail(jobs.status());
                }
                this->Unref();
              });
            });
  }
};

class CancelJobRpc final : public JobCommandRpc<v1::CancelJobRequest, v1::Job> {
 public:
  CancelJobRpc(ServerState& state, RawJobs& service)
      : JobCommandRpc(state, RuleOf("interpd.v1.Jobs/Cancel"), service) {}

 private:
  void Listen(void* tag) override;
  Rpc* Another() const override { return new CancelJobRpc(state_, service_); }
  void Command(JobEngine& engine, const std::string& owner, std::string name, JobEngine::Answer done) override {
    engine.Cancel(owner, std::move(name), std::move(done));
  }
  void Encode(const JobRecord& record, v1::Job* response) override { EncodeJob(record, 0, principal(), response); }
};

class RetryJobRpc final : public JobCommandRpc<v1::RetryJobRequest, v1::Job> {
 public:
  RetryJobRpc(ServerState& state, RawJobs& service) : JobCommandRpc(state, RuleOf("interpd.v1.Jobs/Retry"), service) {}

 private:
  void Listen(void* tag) override;
  Rpc* Another() const override { return new RetryJobRpc(state_, service_); }
  void Command(JobEngine& engine, const std::string& owner, std::string name, JobEngine::Answer done) override {
    engine.Retry(owner, std::move(name), std::move(done));
  }
  void Encode(const JobRecord& record, v1::Job* response) override { EncodeJob(record, 0, principal(), response); }
};

class DeleteJobRpc final : public JobCommandRpc<v1::DeleteJobRequest, v1::DeleteJobResponse> {
 public:
  DeleteJobRpc(ServerState& state, RawJobs& service)
      : JobCommandRpc(state, RuleOf("interpd.v1.Jobs/Delete"), service) {}

 private:
  void Listen(void* tag) override;
  Rpc* Another() const override { return new DeleteJobRpc(state_, service_); }
  void Command(JobEngine& engine, const std::string& owner, std::string name, JobEngine::Answer done) override {
    engine.Delete(owner, std::move(name), std::move(done));
  }
  void Encode(const JobRecord&, v1::DeleteJobResponse*) override {}
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_JOB_RPC_H_
