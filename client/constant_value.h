// What a constant is put as: a serialized v1::Value, made of values, bytes and NumPy arrays.
//
// Who includes this: client.h; programs that put constants.
//
// A Cord, so that large bytes are not copied on the way and may have more than protobuf's 2 GiB. Thread safety: plain
// functions.
#ifndef INTERPD_CLIENT_CONSTANT_VALUE_H_
#define INTERPD_CLIENT_CONSTANT_VALUE_H_

#include "absl/status/statusor.h"
#include "absl/strings/cord.h"
#include "interpd/v1/value.pb.h"

namespace interpd::client {

// Any value. INVALID_ARGUMENT: it is larger than protobuf's limit.
absl::StatusOr<absl::Cord> ConstantOf(const v1::Value& value);

// Hosted code sees a bytes object.
absl::Cord ConstantOfBytes(absl::Cord bytes);

// The content of a .npy file. Hosted code sees a mapping: `data` (bytes), `shape` (tuple of int), `dtype` (str, as
// NumPy writes it: "<f8") and `fortran_order` (bool), so that, say, memoryview(c["data"]).cast("d", c["shape"]) is the
// array without a copy. INVALID_ARGUMENT: no .npy file, data that are more or less than its header says, or an array of
// records or of Python objects.
absl::StatusOr<absl::Cord> ConstantOfNpy(absl::Cord file);

}  // namespace interpd::client

#endif  // INTERPD_CLIENT_CONSTANT_VALUE_H_
