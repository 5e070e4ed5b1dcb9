// Times and durations of absl <-> google.protobuf.
#ifndef INTERPD_DAEMON_PROTO_TIME_H_
#define INTERPD_DAEMON_PROTO_TIME_H_

#include <google/protobuf/duration.pb.h>
#include <google/protobuf/timestamp.pb.h>

#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace interpd::daemon {

inline constexpr absl::Duration kMaxGracePeriod = absl::Hours(1);

void EncodeTime(absl::Time time, google::protobuf::Timestamp* out);
void EncodeDuration(absl::Duration duration, google::protobuf::Duration* out);

// Of one that has been found valid.
absl::Duration DecodeDuration(const google::protobuf::Duration& duration);

// A grace period. Errors: INVALID_FIELD, for what is no duration or outside 0 to kMaxGracePeriod.
absl::StatusOr<absl::Duration> DecodeGracePeriod(const google::protobuf::Duration& duration, std::string_view field);

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_PROTO_TIME_H_
