// How a script and its flags become a job of the daemon.
//
// Who includes this: job submit and job run.
#ifndef INTERPD_CLIENT_CLI_JOB_SUBMISSION_H_
#define INTERPD_CLIENT_CLI_JOB_SUBMISSION_H_

#include <CLI/CLI.hpp>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/cli/job_settings.h"
#include "client/cli/session.h"
#include "client/job_inputs.h"
#include "interpd/v1/jobs.pb.h"

namespace interpd::client {

// What stands on the command line of job submit or job run.
struct Submission {
  std::string file;
  JobSettings flags;
  std::string request_id;
  bool foreground = false;  // it is waited for, so it must come to an end
};

// Adds FILE, ARG and an option for each of JobOptions(), but for those of `without`.
void AddSubmissionOptions(CLI::App& command, Submission& submission, const std::vector<std::string>& without = {});

// Submits the script with session.script_args. `watch` gets whether --watch was said, in the script too.
absl::StatusOr<v1::Job> SubmitScript(Session& session, Client& client, const Submission& submission, bool* watch);

// INVALID_ARGUMENT: something in it is no UTF-8, which the daemon would refuse without a word about what.
absl::Status CheckText(const v1::JobSpec& spec);

// Submits jobs; the names of those they wait for may be beginnings of IDs.
absl::StatusOr<std::vector<v1::Job>> Submit(Session& session, Client& client, v1::SubmitJobsRequest request,
                                            std::span<const std::unique_ptr<JobInputs>> inputs);

}  // namespace interpd::client

#endif  // INTERPD_CLIENT_CLI_JOB_SUBMISSION_H_
