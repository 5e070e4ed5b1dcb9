// The times that people write for `--at`.
//
// Who includes this: the reader of job options.
#ifndef INTERPD_CLIENT_CLI_START_TIME_H_
#define INTERPD_CLIENT_CLI_START_TIME_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace interpd::client {

//   2030-01-31T12:00:00Z, with any offset   RFC 3339
//   2030-01-31 12:00, 2030-01-31 12:00:30   in `zone`
//   12:00, 12:00:30                         the next time that a clock in `zone` shows this
//   +30m, +90                               so long after `now`; a bare number counts seconds
absl::StatusOr<absl::Time> ParseStartTime(const std::string& text, absl::Time now, absl::TimeZone zone);

}  // namespace interpd::client

#endif  // INTERPD_CLIENT_CLI_START_TIME_H_
