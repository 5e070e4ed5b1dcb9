// Jobs and tasks as the public contract describes them.
//
// Who includes this: the RPCs of jobs.
#ifndef INTERPD_DAEMON_JOBS_JOB_PROTO_H_
#define INTERPD_DAEMON_JOBS_JOB_PROTO_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "daemon/channel_names.h"
#include "daemon/jobs/job_engine.h"
#include "daemon/jobs/job_record.h"
#include "daemon/principal.h"
#include "interp/interpreter.h"
#include "interpd/v1/jobs.pb.h"

namespace interpd::daemon {

// "jobs/k3f9" -> "k3f9". Errors: INVALID_FIELD with that field.
absl::StatusOr<std::string_view> ParseJobName(std::string_view name, std::string_view field = "name");

// Without script and arguments, which may have many megabytes. A viewer is not told of errors.
void EncodeJob(const JobRecord& record, int64_t running_count, const Principal& viewer, v1::Job* out);

// `job_state`: of its job, since a task without an end is CANCELLED when that has ended.
void EncodeTask(const TaskRecord& task, std::string_view uid, v1::Task* out);

// A job as a client describes it, checked and with defaults filled in, but for what its `after` names. `position` is
// its place in the request. Errors: INVALID_FIELD, INVALID_VALUE, SOURCE_TOO_LARGE, with paths that begin "jobs[2].".
absl::StatusOr<NewJob> DecodeJob(v1::JobSpec spec, size_t position, const interp::InterpreterConfig& defaults,
                                 ChannelNames& names);

// Inputs, in batches of a size that is good to read. Errors: INVALID_VALUE.
absl::StatusOr<std::vector<InputBatch>> DecodeInputs(const v1::ValueBatch& values, ChannelNames& names);

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_JOBS_JOB_PROTO_H_
