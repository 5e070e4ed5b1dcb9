// The errors that are about jobs.
#ifndef INTERPD_DAEMON_JOBS_JOB_ERRORS_H_
#define INTERPD_DAEMON_JOBS_JOB_ERRORS_H_

#include <cstdint>
#include <string_view>

#include "absl/status/status.h"

namespace interpd::daemon {

// `name` is the ID of jobs/ID.
absl::Status JobNotFound(std::string_view name);
// `problem` reads on from the job's name and state: "cancel it first".
absl::Status WrongJobState(std::string_view name, int state, std::string_view problem);
absl::Status TooManyJobs(int64_t limit);
// One owner has.
absl::Status TooManyOwnJobs(int64_t limit);
absl::Status TooManyBytes(int64_t limit);
absl::Status TooManyTasks();
absl::Status UploadGone();
absl::Status JobsDisabled();

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_JOBS_JOB_ERRORS_H_
