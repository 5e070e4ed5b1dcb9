#include "daemon/proto_time.h"

#include <cstdint>

#include "daemon/errors.h"

namespace interpd::daemon {
namespace {

constexpr int64_t kNanosPerSecond = 1'000'000'000;

}  // namespace

void EncodeTime(absl::Time time, google::protobuf::Timestamp* out) {
  int64_t seconds = absl::ToUnixSeconds(time);
  out->set_seconds(seconds);
  out->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(time - absl::FromUnixSeconds(seconds))));
}

void EncodeDuration(absl::Duration duration, google::protobuf::Duration* out) {
  int64_t nanos = absl::ToInt64Nanoseconds(duration);
  out->set_seconds(nanos / kNanosPerSecond);
  out->set_nanos(static_cast<int32_t>(nanos % kNanosPerSecond));
}

absl::Duration DecodeDuration(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
}

absl::StatusOr<absl::Duration> DecodeGracePeriod(const google::protobuf::Duration& duration, std::string_view field) {
  if (duration.nanos() <= -kNanosPerSecond || duration.nanos() >= kNanosPerSecond) {
    return InvalidField(field, "has nanos of a second or more");
  }
  const absl::Duration result = DecodeDuration(duration);
  if (result < absl::ZeroDuration() || result > kMaxGracePeriod) return InvalidField(field, "must be 0 to 1 hour");
  return result;
}

}  // namespace interpd::daemon
