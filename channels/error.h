// Errors of channels/ and interp/: an absl::Status that also says its reason and the changing parts of its message.
//
// Who includes this: code that makes such an error, and daemon/rpc_status.cc, which turns it into a gRPC status with
// a google.rpc.ErrorInfo. Reasons are the names of interpd.v1.ErrorReason (a test holds the two together).
#ifndef INTERPD_CHANNELS_ERROR_H_
#define INTERPD_CHANNELS_ERROR_H_

#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"

namespace interpd::channels {

struct ErrorInfo {
  std::string reason;  // UPPER_SNAKE_CASE
  std::map<std::string, std::string> metadata;
};

// An error with a reason. Requires: `code` is not OK; `reason` and the keys hold no NUL.
absl::Status MakeError(absl::StatusCode code, std::string_view reason, std::string_view message,
                       std::initializer_list<std::pair<std::string_view, std::string_view>> metadata = {});

// The reason `MakeError` gave; an empty one for any other status.
ErrorInfo GetErrorInfo(const absl::Status& status);

}  // namespace interpd::channels

#endif  // INTERPD_CHANNELS_ERROR_H_
