// The inputs of jobs as the command line gives them: lines of a file, names of files, values of a job file.
//
// Who includes this: the readers of job options and of job files.
#ifndef INTERPD_CLIENT_CLI_JOB_INPUTS_H_
#define INTERPD_CLIENT_CLI_JOB_INPUTS_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/cli/session.h"
#include "client/job_inputs.h"

namespace interpd::client {

// Each line is a value in JSON; lines of white space are skipped. "-" is standard input, and cannot begin again.
// NOT_FOUND when the file cannot be read. Errors of later lines say "FILE:LINE: ". Ctrl-C ends its reading too.
absl::StatusOr<std::unique_ptr<JobInputs>> LineInputs(Session& session, const std::string& file);

// The paths that match an absolute pattern, as glob(7) has it, but for directories, sorted. NOT_FOUND when none does.
absl::StatusOr<std::unique_ptr<JobInputs>> GlobInputs(const std::string& pattern);

// Those given.
std::unique_ptr<JobInputs> ListedInputs(std::vector<v1::Value> values);

}  // namespace interpd::client

#endif  // INTERPD_CLIENT_CLI_JOB_INPUTS_H_
