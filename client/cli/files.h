// Small conversions that several commands need.
//
// Who includes this: the commands of interpctl.
#ifndef INTERPD_CLIENT_CLI_FILES_H_
#define INTERPD_CLIENT_CLI_FILES_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "google/protobuf/duration.pb.h"

namespace interpd::client {

// The whole file; "-" is standard input. NOT_FOUND when it cannot be read.
absl::StatusOr<std::string> ReadFile(const std::string& path);

// `path` as seen from the root; the daemon's working directory is another one than ours.
std::string AbsolutePath(const std::string& path);

// Infinite and longer ones become an hour, the longest grace period there is.
void SetDuration(absl::Duration duration, google::protobuf::Duration& proto);

}  // namespace interpd::client

#endif  // INTERPD_CLIENT_CLI_FILES_H_
