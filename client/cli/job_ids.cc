#include "client/cli/job_ids.h"

#include <limits>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/client.h"

namespace interpd::client {
namespace {

// Of those that the daemon makes. What has as many characters is taken for a whole ID, without a question.
constexpr size_t kIdLength = 10;

}  // namespace

absl::StatusOr<std::vector<std::string>> FindJobs(Session& session, Client& client, std::span<const std::string> ids) {
  std::optional<std::vector<v1::Job>> jobs;  // once they are needed
  std::vector<std::string> names;
  for (const std::string& text : ids) {
    const std::string_view id = JobId(text);
    if (id.size() >= kIdLength || id.empty()) {
      names.push_back(JobResourceName(id));
      continue;
    }
    if (!jobs.has_value()) {
      absl::StatusOr<std::vector<v1::Job>> all =
          client.ListJobs(v1::ListJobsRequest(), std::numeric_limits<int64_t>::max(), session.rpc());
      if (!all.ok()) return all.status();
      jobs = *std::move(all);
    }
    std::vector<std::string> found;
    for (const v1::Job& job : *jobs) {
      if (absl::StartsWith(JobId(job.name()), id)) found.push_back(job.name());
    }
    if (found.empty()) return absl::NotFoundError(absl::StrCat("there is no job ", id));
    if (found.size() > 1) {
      return absl::InvalidArgumentError(absl::StrCat(found.size(), " jobs begin with ", id, ", among them ",
                                                     JobId(found[0]), " and ", JobId(found[1])));
    }
    names.push_back(found[0]);
  }
  return names;
}

absl::StatusOr<std::string> FindJob(Session& session, Client& client, const std::string& id) {
  absl::StatusOr<std::vector<std::string>> names = FindJobs(session, client, std::span(&id, 1));
  if (!names.ok()) return names.status();
  return names->front();
}

}  // namespace interpd::client
