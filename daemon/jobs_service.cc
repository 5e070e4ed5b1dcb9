#include "daemon/jobs_service.h"

#include "daemon/job_rpc.h"
#include "daemon/job_stream_rpc.h"
#include "daemon/submit_jobs_rpc.h"

namespace interpd::daemon {
namespace {

constexpr int kWaiting = 4;  // calls of a method that gRPC may accept before one was handled

}  // namespace

void JobsService::Listen() {
  for (int i = 0; i < kWaiting; ++i) {
    (new SubmitJobsRpc(state_, raw_))->Start();
    (new GetJobRpc(state_, raw_))->Start();
    (new ListJobsRpc(state_, raw_))->Start();
    (new CancelJobRpc(state_, raw_))->Start();
    (new RetryJobRpc(state_, raw_))->Start();
    (new DeleteJobRpc(state_, raw_))->Start();
    (new WatchJobsRpc(state_, raw_))->Start();
    (new JobLogsRpc(state_, raw_))->Start();
    (new JobResultsRpc(state_, raw_))->Start();
  }
}

}  // namespace interpd::daemon
