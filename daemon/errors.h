// The errors that the daemon itself makes; channels/ and interp/ make their own in the same form (channels/error.h).
//
// Who includes this: whatever in daemon/ refuses a request.
#ifndef INTERPD_DAEMON_ERRORS_H_
#define INTERPD_DAEMON_ERRORS_H_

#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "interpd/v1/error_reason.pb.h"

namespace interpd::daemon {

// An error with a reason of the public contract. Requires: `code` is not OK.
absl::Status MakeError(absl::StatusCode code, v1::ErrorReason reason, std::string_view message,
                       std::initializer_list<std::pair<std::string_view, std::string_view>> metadata = {});

// `field` as a client would write it: "config.queue_limit". `problem` reads on from it: "is negative".
absl::Status InvalidField(std::string_view field, std::string_view problem);

absl::Status ServerDraining();
absl::Status MessageTooLarge(std::string_view what, int64_t bytes, int64_t limit);

// The client has gone or given up; nobody reads the answer, but logs and call streams do.
absl::Status CancelledByClient();

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_ERRORS_H_
