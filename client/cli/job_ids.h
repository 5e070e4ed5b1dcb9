// Names of jobs as people write them.
//
// Who includes this: the commands that take names of jobs.
#ifndef INTERPD_CLIENT_CLI_JOB_IDS_H_
#define INTERPD_CLIENT_CLI_JOB_IDS_H_

#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/cli/session.h"

namespace interpd::client {

// `jobs/ID` of each: of an ID with or without "jobs/" before it, or of the beginning of just one of them. NOT_FOUND
// when none begins so, INVALID_ARGUMENT when several do.
absl::StatusOr<std::vector<std::string>> FindJobs(Session& session, Client& client, std::span<const std::string> ids);
absl::StatusOr<std::string> FindJob(Session& session, Client& client, const std::string& id);

}  // namespace interpd::client

#endif  // INTERPD_CLIENT_CLI_JOB_IDS_H_
