// Jobs.Watch, Logs and Results: streams of what the journal has of jobs, and of what comes to it.
#ifndef INTERPD_DAEMON_JOB_STREAM_RPC_H_
#define INTERPD_DAEMON_JOB_STREAM_RPC_H_

#include <grpcpp/alarm.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "daemon/jobs_state.h"
#include "daemon/raw_services.h"
#include "daemon/rpc.h"

namespace interpd::daemon {

// Brings "a job has changed" into the event loop. It outlives the call when it is just being told something.
class JobListener final : public EventLoop::Task, public std::enable_shared_from_this<JobListener> {
 public:
  JobListener(EventLoop& loop, std::function<void()> changed) : loop_(loop), changed_(std::move(changed)) {}

  // Any thread. One notification at a time covers all that has happened before it is handled.
  void Notify() {
    // Acquire-release: Run clears the mark before anybody looks at the journal again.
    if (pending_.exchange(true, std::memory_order_acq_rel)) return;
    alive_ = shared_from_this();
    loop_.Post(this);
  }

  // In the event loop: nobody listens any more.
  void Detach() { changed_ = nullptr; }

 private:
  void Run() override {
    const std::shared_ptr<JobListener> alive = std::move(alive_);
    pending_.store(false, std::memory_order_release);
    if (changed_) changed_();
  }

  EventLoop& loop_;
  std::function<void()> changed_;
  std::atomic<bool> pending_{false};
  std::shared_ptr<JobListener> alive_;  // while posted; its writer is who set pending_, then Run
};

// Reads a page of what there is (on the jobs' thread), writes it, reads the next; at the end, waits until a job has
// changed, unless nothing more can come.
template <typename Request, typename Response>
class JobStreamRpc : public ServerStreamRpc<Request, Response> {
 protected:
  JobStreamRpc(ServerState& state, const AccessRule& rule, RawJobs& service)
      : ServerStreamRpc<Request, Response>(state, rule), service_(service) {}
  ~JobStreamRpc() override { StopListening(); }

  struct Page {
    absl::Status status;
    std::optional<Response> message;
    bool more = false;  // there is more to read at once
    bool last = false;  // nothing follows
  };
  // Run on the jobs' thread, never two at once: what they change is theirs. Open: once; fills `jobs`, which are
  // listened to from then on.
  virtual absl::Status Open(const Request& request, const JobsState& jobs, std::vector<int64_t>* listen_to) = 0;
  virtual Page ReadPage(const JobsState& jobs) = 0;

  RawJobs& service_;

 private:
  void Handle(Request& request) override;
  void OnWritten(bool ok) override;
  void OnCancelled() override { End(CancelledByClient()); }
  void OnShutdown() override { End(ServerDraining()); }

  void Changed();
  void Advance();
  void TakePage(Page page);
  void RestOver(bool ok);
  void End(const absl::Status& status);
  void StopListening();

  std::shared_ptr<JobListener> listener_;
  std::vector<int64_t> watches_;
  bool reading_ = false;  // a page, or opening
  bool waiting_ = false;  // for a change
  bool changed_ = false;  // since the last page was begun
  bool resting_ = false;  // so that many small changes go into one message
  bool last_ = false;
  absl::Status ended_;
  bool ending_ = false;
  grpc::Alarm alarm_;
  Rpc::Operation rest_over_{this, static_cast<void (Rpc::*)(bool)>(&JobStreamRpc::RestOver)};
};

class WatchJobsRpc final : public JobStreamRpc<v1::WatchJobsRequest, v1::WatchJobsResponse> {
 public:
  WatchJobsRpc(ServerState& state, RawJobs& service) : JobStreamRpc(state, RuleOf("interpd.v1.Jobs/Watch"), service) {}

 private:
  void Listen(void* tag) override;
  Rpc* Another() const override { return new WatchJobsRpc(state_, service_); }
  absl::Status Open(const v1::WatchJobsRequest& request, const JobsState& jobs,
                    std::vector<int64_t>* listen_to) override;
  Page ReadPage(const JobsState& jobs) override;

  std::vector<std::string> ids_;
  size_t next_ = 0;                                               // where the next page begins
  absl::flat_hash_map<std::string, std::optional<size_t>> sent_;  // id -> a hash of the Job as it was sent last
};

class JobLogsRpc final : public JobStreamRpc<v1::JobLogsRequest, v1::JobLogsResponse> {
 public:
  JobLogsRpc(ServerState& state, RawJobs& service) : JobStreamRpc(state, RuleOf("interpd.v1.Jobs/Logs"), service) {}

 private:
  void Listen(void* tag) override;
  Rpc* Another() const override { return new JobLogsRpc(state_, service_); }
  absl::Status Open(const v1::JobLogsRequest& request, const JobsState& jobs, std::vector<int64_t>* listen_to) override;
  Page ReadPage(const JobsState& jobs) override;

  std::string id_;
  bool follow_ = false;
  std::optional<int64_t> index_;
  int64_t job_ = 0;
  int64_t after_ = 0;
  std::vector<LogRecord> logs_;  // read, and not sent yet; the next one last
};

class JobResultsRpc final : public JobStreamRpc<v1::JobResultsRequest, v1::JobResultsResponse> {
 public:
  JobResultsRpc(ServerState& state, RawJobs& service)
      : JobStreamRpc(state, RuleOf("interpd.v1.Jobs/Results"), service) {}

 private:
  void Listen(void* tag) override;
  Rpc* Another() const override { return new JobResultsRpc(state_, service_); }
  absl::Status Open(const v1::JobResultsRequest& request, const JobsState& jobs,
                    std::vector<int64_t>* listen_to) override;
  Page ReadPage(const JobsState& jobs) override;

  std::string id_;
  JournalReader::TaskFilter filter_;
  int64_t next_ = 0;
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_JOB_STREAM_RPC_H_
