// JobInputs: where the inputs of a job come from while it is submitted.
//
// Who includes this: callers of Client::SubmitJobs whose inputs are many, or are read from somewhere.
#ifndef INTERPD_CLIENT_JOB_INPUTS_H_
#define INTERPD_CLIENT_JOB_INPUTS_H_

#include <optional>

#include "absl/status/statusor.h"
#include "interpd/v1/value.pb.h"

namespace interpd::client {

// Thread safety: none of its own; SubmitJobs uses it on the caller's thread.
class JobInputs {
 public:
  virtual ~JobInputs() = default;

  // The next input; none behind the last. An error ends the submission, and nothing is submitted.
  virtual absl::StatusOr<std::optional<v1::Value>> Next() = 0;

  // Begins again from the first input. False: that cannot be done.
  virtual bool Rewind() { return false; }
};

}  // namespace interpd::client

#endif  // INTERPD_CLIENT_JOB_INPUTS_H_
