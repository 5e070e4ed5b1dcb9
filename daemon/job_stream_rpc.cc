#include "daemon/job_stream_rpc.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/hash/hash.h"
#include "absl/strings/str_cat.h"
#include "daemon/jobs/channel_references.h"
#include "daemon/jobs/job_errors.h"
#include "daemon/jobs/job_proto.h"
#include "daemon/page.h"

namespace interpd::daemon {
namespace {

constexpr int kMaxWatched = 1000;

// Between two messages about changes.
constexpr std::chrono::milliseconds kRest(50);

uint64_t Bit(int state) { return uint64_t{1} << state; }

}  // namespace

// ---- what they share ------------------------------------------------------------------------------------------------

template <typename Request, typename Response>
void JobStreamRpc<Request, Response>::Handle(Request& request) {
  ServerState& state = this->state_;
  if (state.jobs == nullptr) return this->Finish(JobsDisabled());
  if (state.jobs->closing) return this->Finish(ServerDraining());
  state.open_streams.insert(this);
  reading_ = true;
  this->Ref();
  state.jobs->thread.Submit([this, &state, request = std::move(request)] {
    std::vector<int64_t> jobs;
    absl::Status opened = Open(request, *state.jobs, &jobs);
    state.loop.Post([this, &state, opened = std::move(opened), jobs = std::move(jobs)] {
      reading_ = false;
      if (!opened.ok()) {
        End(opened);
      } else if (!ending_) {
        listener_ = std::make_shared<JobListener>(state.loop, [this] { Changed(); });
        for (int64_t job : jobs) {
          watches_.push_back(state.jobs->engine.watches().Watch(job, [listener = listener_] { listener->Notify(); }));
        }
      }
      Advance();
      this->Unref();
    });
  });
}

template <typename Request, typename Response>
void JobStreamRpc<Request, Response>::StopListening() {
  if (listener_ == nullptr) return;
  for (int64_t watch : watches_) this->state_.jobs->engine.watches().Stop(watch);
  listener_->Detach();
  listener_ = nullptr;
}

template <typename Request, typename Response>
void JobStreamRpc<Request, Response>::Changed() {
  changed_ = true;
  if (std::exchange(waiting_, false)) Advance();
}

template <typename Request, typename Response>
void JobStreamRpc<Request, Response>::Advance() {
  if (this->finished() || this->writing() || reading_) return;
  if (!ending_ && this->state_.jobs->closing) {
    ending_ = true;
    ended_ = ServerDraining();
  }
  if (ending_) return this->Finish(ended_);
  if (resting_ || waiting_) return;
  if (last_) return this->Finish(absl::OkStatus());
  reading_ = true;
  changed_ = false;
  ServerState& state = this->state_;
  this->Ref();
  state.jobs->thread.Submit([this, &state] {
    Page page = ReadPage(*state.jobs);
    state.loop.Post([this, page = std::move(page)]() mutable {
      reading_ = false;
      TakePage(std::move(page));
      this->Unref();
    });
  });
}

template <typename Request, typename Response>
void JobStreamRpc<Request, Response>::TakePage(Page page) {
  if (this->finished()) return;
  if (!page.status.ok()) End(page.status);
  if (ending_) return Advance();
  last_ = page.last;
  if (!page.more && !page.last && !changed_) waiting_ = true;
  if (page.message && !page.more && !page.last) {
    resting_ = true;
    alarm_.Set(this->state_.loop.queue(), std::chrono::system_clock::now() + kRest, rest_over_.Begin());
  }
  if (page.message) return this->Write(*page.message);
  Advance();
}

template <typename Request, typename Response>
void JobStreamRpc<Request, Response>::RestOver(bool) {
  resting_ = false;
  Advance();
}

template <typename Request, typename Response>
void JobStreamRpc<Request, Response>::OnWritten(bool ok) {
  if (!ok) End(CancelledByClient());
  Advance();
}

template <typename Request, typename Response>
void JobStreamRpc<Request, Response>::End(const absl::Status& status) {
  if (this->finished() || ending_) return;
  ending_ = true;
  ended_ = status;
  StopListening();
  if (resting_) alarm_.Cancel();
  Advance();
}

template class JobStreamRpc<v1::WatchJobsRequest, v1::WatchJobsResponse>;
template class JobStreamRpc<v1::JobLogsRequest, v1::JobLogsResponse>;
template class JobStreamRpc<v1::JobResultsRequest, v1::JobResultsResponse>;

// ---- Watch ----------------------------------------------------------------------------------------------------------

void WatchJobsRpc::Listen(void* tag) {
  service_.RequestWatch(&context_, &request_bytes_, &stream_, state_.loop.queue(), state_.loop.queue(), tag);
}

absl::Status WatchJobsRpc::Open(const v1::WatchJobsRequest& request, const JobsState& jobs,
                                std::vector<int64_t>* listen_to) {
  if (request.names_size() == 0 || request.names_size() > kMaxWatched) {
    return InvalidField("names", absl::StrCat("must be 1 to ", kMaxWatched, " jobs"));
  }
  for (int i = 0; i < request.names_size(); ++i) {
    absl::StatusOr<std::string_view> id = ParseJobName(request.names(i), absl::StrCat("names[", i, "]"));
    if (!id.ok()) return id.status();
    absl::StatusOr<JobRecord> job = jobs.reader->FindJob(principal().space, *id);
    if (!job.ok()) return job.status();
    ids_.emplace_back(*id);
    listen_to->push_back(job->id);
  }
  return absl::OkStatus();
}

WatchJobsRpc::Page WatchJobsRpc::ReadPage(const JobsState& jobs) {
  Page page = {.last = true};
  v1::WatchJobsResponse response;
  const size_t begin = next_;
  size_t bytes_here = 0;
  for (size_t i = 0; i < ids_.size(); ++i) {
    if (bytes_here >= kPageBytes) {
      page.more = true;
      page.last = false;
      break;
    }
    const std::string& id = ids_[next_];
    next_ = (begin + i + 1) % ids_.size();
    absl::StatusOr<JobRecord> record = jobs.reader->FindJob(principal().space, id);
    if (!record.ok()) return {.status = record.status()};
    if (!record->has_ended()) page.last = false;
    v1::Job job;
    EncodeJob(*record, record->has_ended() ? 0 : jobs.engine.RunningCount(record->id), principal(), &job);
    const std::string bytes = job.SerializeAsString();
    std::optional<size_t>& sent = sent_[id];
    if (sent == absl::HashOf(bytes)) continue;
    sent = absl::HashOf(bytes);
    bytes_here += bytes.size();
    *response.add_jobs() = std::move(job);
  }
  if (response.jobs_size() > 0) page.message = std::move(response);
  return page;
}

// ---- Logs -----------------------------------------------------------------------------------------------------------

void JobLogsRpc::Listen(void* tag) {
  service_.RequestLogs(&context_, &request_bytes_, &stream_, state_.loop.queue(), state_.loop.queue(), tag);
}

absl::Status JobLogsRpc::Open(const v1::JobLogsRequest& request, const JobsState& jobs,
                              std::vector<int64_t>* listen_to) {
  absl::StatusOr<std::string_view> id = ParseJobName(request.name());
  if (!id.ok()) return id.status();
  absl::StatusOr<JobRecord> job = jobs.reader->FindJob(principal().space, *id);
  if (!job.ok()) return job.status();
  if (request.has_task_index()) {
    if (request.task_index() < 0 || request.task_index() >= kMaxTasks) return InvalidField("task_index", "is no index");
    index_ = request.task_index();
  }
  id_ = *id;
  job_ = job->id;
  follow_ = request.follow();
  listen_to->push_back(job_);
  return absl::OkStatus();
}

JobLogsRpc::Page JobLogsRpc::ReadPage(const JobsState& jobs) {
  if (logs_.empty()) {
    // The job before its logs: what it has written before it ended is then there.
    absl::StatusOr<JobRecord> job = jobs.reader->FindJob(principal().space, id_);
    if (!job.ok()) return {.status = job.status()};
    absl::StatusOr<std::vector<LogRecord>> logs = jobs.reader->Logs(job_, index_, &after_);
    if (!logs.ok()) return {.status = logs.status()};
    if (logs->empty()) return {.last = !follow_ || job->has_ended()};
    std::reverse(logs->begin(), logs->end());
    logs_ = *std::move(logs);
  }
  LogRecord& log = logs_.back();
  Page page = {.message = v1::JobLogsResponse(), .more = true};
  page.message->set_task_index(log.index);
  page.message->set_attempt(log.attempt);
  page.message->mutable_output()->set_stream(log.stream);
  page.message->mutable_output()->set_data(std::move(log.data));
  page.message->set_dropped_bytes(log.dropped_bytes);
  logs_.pop_back();
  return page;
}

// ---- Results --------------------------------------------------------------------------------------------------------

void JobResultsRpc::Listen(void* tag) {
  service_.RequestResults(&context_, &request_bytes_, &stream_, state_.loop.queue(), state_.loop.queue(), tag);
}

absl::Status JobResultsRpc::Open(const v1::JobResultsRequest& request, const JobsState& jobs,
                                 std::vector<int64_t>* listen_to) {
  absl::StatusOr<std::string_view> id = ParseJobName(request.name());
  if (!id.ok()) return id.status();
  absl::StatusOr<JobRecord> job = jobs.reader->FindJob(principal().space, *id);
  if (!job.ok()) return job.status();
  if (request.first_index() < 0 || request.first_index() >= kMaxTasks) {
    return InvalidField("first_index", "is no index");
  }
  for (int state : request.states()) {
    if (!v1::Task::State_IsValid(state) || state == 0) {
      return InvalidField("states", absl::StrCat("has no state ", state));
    }
    filter_.states |= Bit(state);
  }
  if (filter_.states == 0) filter_.states = Bit(v1::Task::SUCCEEDED) | Bit(v1::Task::FAILED);
  filter_.wait = request.follow();
  id_ = *id;
  next_ = request.first_index();
  listen_to->push_back(job->id);
  return absl::OkStatus();
}

JobResultsRpc::Page JobResultsRpc::ReadPage(const JobsState& jobs) {
  absl::StatusOr<JobRecord> job = jobs.reader->FindJob(principal().space, id_);
  if (!job.ok()) return {.status = job.status()};
  const int64_t before = next_;
  absl::StatusOr<std::vector<TaskRecord>> tasks = jobs.reader->Tasks(*job, filter_, &next_);
  if (!tasks.ok()) return {.status = tasks.status()};
  Page page;
  if (!tasks->empty()) {
    page.message.emplace();
    for (const TaskRecord& task : *tasks) {
      v1::Task& shown = *page.message->add_tasks();
      EncodeTask(task, job->uid, &shown);
      // The names of channels are its owner's.
      if (job->owner != principal().space && shown.has_result()) {
        TranslateChannels(state_.NamesIn(job->owner), state_.NamesOf(principal()), shown.mutable_result());
      }
    }
  }
  const bool all_seen = next_ >= job->task_count;
  page.more = !all_seen && next_ > before;
  page.last = all_seen ? job->has_ended() || !filter_.wait : !filter_.wait && !page.more;
  return page;
}

}  // namespace interpd::daemon
