#include "daemon/job_rpc.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "daemon/job_page_token.h"
#include "daemon/page.h"

namespace interpd::daemon {
namespace {

// Jobs that a List reads at a time: the arguments of one may have many megabytes, and are read with it.
constexpr int64_t kAtATime = 10;

}  // namespace

void GetJobRpc::Listen(void* tag) {
  service_.RequestGet(&context_, &request_bytes_, &responder_, state_.loop.queue(), state_.loop.queue(), tag);
}

absl::Status GetJobRpc::ReadAnswer(const Principal& principal, const v1::GetJobRequest& request, const JobsState& jobs,
                                   v1::Job* response) {
  absl::StatusOr<std::string_view> id = ParseJobName(request.name());
  if (!id.ok()) return id.status();
  absl::StatusOr<JobRecord> record = jobs.reader->FindJob(principal.space, *id);
  if (!record.ok()) return record.status();
  EncodeJob(*record, jobs.engine.RunningCount(record->id), principal, response);
  if (principal.role == Role::kViewer) return absl::OkStatus();
  absl::StatusOr<std::string> script = jobs.reader->Script(record->id);
  if (!script.ok()) return script.status();
  response->mutable_spec()->set_script(*std::move(script));
  *response->mutable_spec()->mutable_args() = record->spec.args();
  return absl::OkStatus();
}

void ListJobsRpc::Listen(void* tag) {
  service_.RequestList(&context_, &request_bytes_, &responder_, state_.loop.queue(), state_.loop.queue(), tag);
}

absl::Status ListJobsRpc::ReadAnswer(const Principal& principal, const v1::ListJobsRequest& request,
                                     const JobsState& jobs, v1::ListJobsResponse* response) {
  absl::StatusOr<Page> page = DecodePage(request.page_size(), request.page_token());
  if (!page.ok()) return page.status();
  JournalReader::Filter filter = {.owner = principal.space};
  if (!page->after.empty()) {
    std::optional<int64_t> before = DecodeJobPageToken(page->after);
    if (!before) return InvalidField("page_token", "is of no List call since the daemon was started");
    filter.before = *before;
  }
  for (int state : request.states()) {
    if (!v1::Job::State_IsValid(state) || state == 0)
      return InvalidField("states", absl::StrCat("has no state ", state));
    filter.states |= uint64_t{1} << state;
  }
  if (!request.parent().empty()) {
    absl::StatusOr<std::string_view> parent = ParseJobName(request.parent(), "parent");
    if (!parent.ok()) return parent.status();
    filter.parent = *parent;
  }
  const int64_t limit = static_cast<int64_t>(page->size);
  for (size_t bytes = 0;;) {
    const int64_t room = std::min(limit - response->jobs_size(), kAtATime);
    // One more than there is room for says whether there is a next page.
    absl::StatusOr<std::vector<JobRecord>> found = jobs.reader->List(filter, room + 1);
    if (!found.ok()) return found.status();
    const bool more = static_cast<int64_t>(found->size()) > room;
    if (more) found->pop_back();
    for (const JobRecord& record : *found) {
      EncodeJob(record, jobs.engine.RunningCount(record.id), principal, response->add_jobs());
      bytes += record.spec.ByteSizeLong();
    }
    if (!more) return absl::OkStatus();
    filter.before = found->back().id;
    if (response->jobs_size() < limit && bytes < kPageBytes) continue;
    response->set_next_page_token(EncodePageToken(EncodeJobPageToken(filter.before)));
    return absl::OkStatus();
  }
}

void CancelJobRpc::Listen(void* tag) {
  service_.RequestCancel(&context_, &request_bytes_, &responder_, state_.loop.queue(), state_.loop.queue(), tag);
}

void RetryJobRpc::Listen(void* tag) {
  service_.RequestRetry(&context_, &request_bytes_, &responder_, state_.loop.queue(), state_.loop.queue(), tag);
}

void DeleteJobRpc::Listen(void* tag) {
  service_.RequestDelete(&context_, &request_bytes_, &responder_, state_.loop.queue(), state_.loop.queue(), tag);
}

}  // namespace interpd::daemon
