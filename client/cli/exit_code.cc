#include "client/cli/exit_code.h"

#include <string>

#include "client/rpc_error.h"

namespace interpd::client {

ExitCode ExitCodeOf(const absl::Status& status) {
  const std::string reason = ErrorReason(status);
  // Where the reason says more than the code.
  if (reason == "INTERPRETER_FAILED") return kPythonRaised;  // as a rule the set-up code raised
  if (reason == "SERVER_DRAINING" || reason == "SOURCE_TOO_LARGE") return kRefused;
  switch (status.code()) {
    case absl::StatusCode::kOk: return kOk;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kOutOfRange: return kUsage;
    case absl::StatusCode::kUnavailable: return kNoDaemon;
    case absl::StatusCode::kNotFound: return kNotFound;
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated: return kRefused;
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kAborted: return kTimeout;
    default: return kInternal;
  }
}

int ExitCodeOfSystemExit(int32_t code) { return code & 0xff; }

}  // namespace interpd::client
