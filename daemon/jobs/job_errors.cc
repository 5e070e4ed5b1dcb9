#include "daemon/jobs/job_errors.h"

#include "absl/strings/str_cat.h"
#include "daemon/errors.h"
#include "daemon/jobs/job_record.h"
#include "interpd/v1/jobs.pb.h"

namespace interpd::daemon {

absl::Status JobNotFound(std::string_view name) {
  return MakeError(absl::StatusCode::kNotFound, v1::JOB_NOT_FOUND,
                   absl::StrCat("there is no job jobs/", name, "; List tells which there are"), {{"job", name}});
}

absl::Status WrongJobState(std::string_view name, int state, std::string_view problem) {
  const std::string& state_name = v1::Job::State_Name(static_cast<v1::Job::State>(state));
  return MakeError(absl::StatusCode::kFailedPrecondition, v1::JOB_STATE,
                   absl::StrCat("jobs/", name, " is ", state_name, ": ", problem),
                   {{"job", name}, {"state", state_name}});
}

absl::Status TooManyJobs(int64_t limit) {
  return MakeError(absl::StatusCode::kResourceExhausted, v1::TOO_MANY_JOBS,
                   absl::StrCat("there are ", limit, " unfinished jobs, as many as may be; wait for some to end, or ",
                                "start the daemon with a larger jobs.max_unfinished"),
                   {{"limit", absl::StrCat(limit)}});
}

absl::Status TooManyOwnJobs(int64_t limit) {
  return MakeError(absl::StatusCode::kResourceExhausted, v1::TOO_MANY_JOBS,
                   absl::StrCat("you have ", limit, " unfinished jobs, as many as one user may: half of ",
                                "jobs.max_unfinished; wait for some to end, or cancel some"),
                   {{"limit", absl::StrCat(limit)}});
}

absl::Status TooManyBytes(int64_t limit) {
  return MakeError(absl::StatusCode::kResourceExhausted, v1::JOURNAL_FULL,
                   absl::StrCat("with this, your unfinished jobs would take more than ", limit,
                                " bytes of the journal, half of jobs.keep_bytes; wait for some to end, or cancel some"),
                   {{"limit", absl::StrCat(limit)}});
}

absl::Status TooManyTasks() {
  return InvalidField("inputs", absl::StrCat("are more than ", kMaxTasks - 1, ", which is as many as a job may have"));
}

absl::Status UploadGone() {
  return MakeError(absl::StatusCode::kNotFound, v1::JOB_NOT_FOUND,
                   "the jobs of this upload are gone: their request was sent again, or could not be written; "
                   "submit them again");
}

absl::Status JobsDisabled() {
  return MakeError(absl::StatusCode::kFailedPrecondition, v1::JOBS_DISABLED,
                   "this daemon keeps no jobs: it has no state directory; start it with --state-dir DIR");
}

}  // namespace interpd::daemon
