// Value <-> PyObject.
//
// Who includes this: python_executor, and later whatever carries values into or out of hosted code.
//
// Shareable: None bool int float complex str bytes tuple list set frozenset dict, nested; instances of their
// subclasses travel as the base type. Everything else is refused with the path to it.
// Requires an attached thread state; leaves no Python exception set.
#ifndef INTERPD_INTERP_VALUE_CODEC_H_
#define INTERPD_INTERP_VALUE_CODEC_H_

#include <cstddef>

#include "absl/status/statusor.h"
#include "channels/value.h"
#include "interp/py_ref.h"
#include "interp/python_api.h"

namespace interpd::interp {

struct EncodeLimits {
  size_t max_bytes = size_t{64} << 20;
  int max_depth = channels::kMaxValueDepth;
};

// A copy of `object` that no interpreter owns. Errors: VALUE_NOT_SHAREABLE, with metadata path ("[3]['owner']", empty
// for the object itself) and type: a foreign type, a cycle, too deep, too large, or not enough memory.
absl::StatusOr<channels::Value> Encode(PyObject* object, const EncodeLimits& limits);

// The value as a new object of the current interpreter. Null with a Python exception set when memory is short or a
// set or dict has an unhashable element.
PyRef Decode(const channels::Value& value);

}  // namespace interpd::interp

#endif  // INTERPD_INTERP_VALUE_CODEC_H_
