// The content of a constant as it travels and as it lies in files, one serialized interpd.v1.Value, into a Value.
//
// Who includes this: what puts constants. Thread safety: a plain function; it takes long for much, so it is not for the
// event loop.
//
// Unlike value_proto, it makes no messages on the way: a message of a million nodes takes ten times the memory of the
// Value, and most of the time. Its rules are those of DecodeValue, and besides, a constant holds no channel, no buffer
// and nothing pickled. Sizes are of 64 bits: protobuf's own limit of 2 GiB does not hold here.
#ifndef INTERPD_DAEMON_CONSTANT_VALUE_H_
#define INTERPD_DAEMON_CONSTANT_VALUE_H_

#include <string_view>

#include "absl/status/statusor.h"
#include "channels/value.h"

namespace interpd::daemon {

// `field` begins the path of an error. Errors: INVALID_VALUE.
absl::StatusOr<channels::Value> DecodeConstantValue(std::string_view serialized, std::string_view field);

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_CONSTANT_VALUE_H_
