// Where a page of jobs ends, in a way that tells nothing. Jobs are in the order of their row numbers, which are counted
// for all owners together: a user who sees two of them knows how many jobs others have submitted in between.
//
// Who includes this: Jobs.List. Thread safety: plain functions.
#ifndef INTERPD_DAEMON_JOB_PAGE_TOKEN_H_
#define INTERPD_DAEMON_JOB_PAGE_TOKEN_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace interpd::daemon {

// Hexadecimal digits: the number under a key that this process makes for itself.
std::string EncodeJobPageToken(int64_t row);

// None: no token of this process.
std::optional<int64_t> DecodeJobPageToken(std::string_view token);

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_JOB_PAGE_TOKEN_H_
