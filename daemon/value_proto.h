// interpd.v1.Value <-> channels::Value.
//
// Who includes this: the RPCs that carry values. Thread safety: plain functions, callable anywhere; EncodeValue runs on
// interpreters' threads and touches nothing but memory.
//
// Channels in values go by their names (channel_names.h). Buffers and constants, which interpreters share, are
// copied here.
#ifndef INTERPD_DAEMON_VALUE_PROTO_H_
#define INTERPD_DAEMON_VALUE_PROTO_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "channels/value.h"
#include "daemon/channel_names.h"
#include "interpd/v1/value.pb.h"

namespace interpd::daemon {

// Containers that may nest in a message.
inline constexpr int kMaxWireDepth = 64;

// Bytes that the arguments of one call may take as a Value.
inline constexpr size_t kMaxArgumentBytes = size_t{256} << 20;

// Bytes that the content of one constant may take as a Value: to clients it is copied.
inline constexpr size_t kMaxConstantBytes = size_t{64} << 20;

using ValueList = google::protobuf::RepeatedPtrField<v1::Value>;
using ValueMap = google::protobuf::Map<std::string, v1::Value>;

// One value. `field` begins the path of an error: "args[2][0]['key']".
// Errors: INVALID_VALUE, for an unset kind, items where none belong, an odd number of items in a DICT, a list, dict or
// set as key or element of a set, bytes that are no UTF-8, a buffer whose parts do not fit together, a name of no
// channel, too many levels, too many bytes.
absl::StatusOr<channels::Value> DecodeValue(const v1::Value& value, std::string_view field, ChannelNames& names);

// Positional arguments as a tuple, keyword arguments as a dict; None when there are none. Errors as for DecodeValue.
absl::StatusOr<channels::Value> DecodeArgs(const ValueList& args, ChannelNames& names);
absl::StatusOr<channels::Value> DecodeKwargs(const ValueMap& kwargs, ChannelNames& names);

// Errors: VALUE_NOT_SHAREABLE, for a value that nests deeper than kMaxWireDepth, and a constant over kMaxConstantBytes.
absl::Status EncodeValue(const channels::Value& value, ChannelNames& names, v1::Value* out);

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_VALUE_PROTO_H_
