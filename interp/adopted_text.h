// Makes a Python object, in place, of the block in which a Value carried a text: no byte is copied.
//
// Who includes this: value_codec.
//
// A `bytes` or `str` object is a header and its characters in one piece of memory. Values leave room for the header
// (Value::TextOffset), so a receiver that owns the block alone writes one there and has its object. CPython frees it
// like any object that is not in its own pools, as raw memory; raw_memory.h tells how it is counted.
#ifndef INTERPD_INTERP_ADOPTED_TEXT_H_
#define INTERPD_INTERP_ADOPTED_TEXT_H_

#include <string_view>

#include "channels/value.h"
#include "interp/py_ref.h"
#include "interp/python_api.h"

namespace interpd::interp {

// Whether a text of this kind can be adopted at all.
constexpr bool IsAdoptable(channels::Kind kind) {
  return kind == channels::Kind::kBytes || kind == channels::Kind::kAsciiStr || channels::IsUcs(kind);
}

// The object for `block`, which Value::ReleaseText or ValueConsumer::ReleaseText gave for a text of `size` bytes; takes
// the block over. Requires IsAdoptable(kind) and an attached thread.
PyRef AdoptText(channels::Kind kind, char* block, size_t size);

}  // namespace interpd::interp

#endif  // INTERPD_INTERP_ADOPTED_TEXT_H_
