// Value <-> PyObject.
//
// Who includes this: python_executor, and later whatever carries values into or out of hosted code.
//
// Shareable: None bool int float complex str bytes tuple list set frozenset dict, nested; instances of their
// subclasses travel as the base type. Channels travel as themselves; a Buffer, and a memoryview of one or of bytes, by
// reference, and so does every object of a constant that is no number. Everything else is refused with the path to it.
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
  // Whether other interpreters will read the Value, and not clients. Then str travel as they lie in memory
  // (Kind::kUcs1Str and so on) and constants by reference; else text goes as UTF-8, and the content of constants.
  bool between_interpreters = false;
};

// A copy of `object` that no interpreter owns. Errors: VALUE_NOT_SHAREABLE, with metadata path ("[3]['owner']", empty
// for the object itself) and type: a foreign type, a cycle, too deep, too large, or not enough memory.
absl::StatusOr<channels::Value> Encode(PyObject* object, const EncodeLimits& limits);

// The same for what is one scalar or one text of up to a megabyte that is no constant's, in a fraction of the time.
// False if `object` is anything else; nothing has happened then.
bool EncodeSimple(PyObject* object, channels::Value* value);

// The value as a new object of the current interpreter. If nobody shares the Value, its long texts, and one that is the
// whole Value, become objects where they are, without a copy. Null with a Python
// exception set when memory is short, a set or dict has an unhashable element, or unpickling raised.
PyRef Decode(channels::Value&& value);
inline PyRef Decode(const channels::Value& value) { return Decode(value.Share()); }

}  // namespace interpd::interp

#endif  // INTERPD_INTERP_VALUE_CODEC_H_
