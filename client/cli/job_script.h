// A script as it is made part of a job.
//
// Who includes this: the commands that submit jobs, and the reader of job files.
#ifndef INTERPD_CLIENT_CLI_JOB_SCRIPT_H_
#define INTERPD_CLIENT_CLI_JOB_SCRIPT_H_

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/cli/job_settings.h"
#include "client/cli/session.h"

namespace interpd::client {

// Puts the file's content into the plan, or that of standard input for "-", and does what its header and then the flags
// say. When the daemon is on this machine, the job's interpreters work in our directory, and find modules beside the
// script, as `python FILE` has it.
absl::Status PlanScript(Session& session, const std::string& file, const JobSettings& flags, absl::Time now,
                        JobPlan* plan);

}  // namespace interpd::client

#endif  // INTERPD_CLIENT_CLI_JOB_SCRIPT_H_
