// How interpctl shows jobs and their tasks: tables for people, JSON for scripts.
//
// Who includes this: the job commands of interpctl.
#ifndef INTERPD_CLIENT_CLI_JOB_PRINT_H_
#define INTERPD_CLIENT_CLI_JOB_PRINT_H_

#include <span>
#include <string>

#include "absl/time/time.h"
#include "interpd/v1/jobs.pb.h"

namespace interpd::client {

// "running"
std::string JobStateName(v1::Job::State state);
// Whether it stays in this state for good, but for a retry.
bool HasEnded(v1::Job::State state);

// ID NAME STATE TASKS FAILED AGE, one line a job.
std::string JobTable(std::span<const v1::Job> jobs, absl::Time now);
std::string JobFields(const v1::Job& job, absl::Time now);
std::string JobDocument(std::span<const v1::Job> jobs);

// "380 of 1000", or "380" while the whole is not known.
std::string DoneOf(const v1::Job& job);

// Why a task has failed, in one line; empty if it has not.
std::string TaskError(const v1::Task& task);

// {"index": 3, "state": "SUCCEEDED", "attempt": 1, "seconds": 0.25, "key": "...", "result": ...}; of one that has
// failed "error" and "traceback" instead of the result, and of a plain script "exit_code" if it is not 0. Without a
// line end.
std::string TaskToJson(const v1::Task& task);

// A table, line by line: there may be a million. Long results are cut.
std::string TaskHeading();
std::string TaskLine(const v1::Task& task);

}  // namespace interpd::client

#endif  // INTERPD_CLIENT_CLI_JOB_PRINT_H_
