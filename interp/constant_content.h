// What a constant says, read from its objects: as a Value, or as a digest.
//
// Who includes this: constant, which expands its objects for those who see no Python; constant_builder; value_codec.
//
// Thread safety: any thread, attached or not. Constants are never written, so reading one needs no interpreter.
#ifndef INTERPD_INTERP_CONSTANT_CONTENT_H_
#define INTERPD_INTERP_CONSTANT_CONTENT_H_

#include <cstddef>
#include <string>

#include "channels/value.h"
#include "interp/python_api.h"

namespace interpd::interp {

// Writes `object`, of a constant, as nodes of a Value that refer to nothing: a mapping as a dict, text as UTF-8. False:
// `builder` would hold more than `max_bytes`; then what it holds is no whole value.
bool AppendContent(PyObject* object, size_t max_bytes, channels::ValueBuilder* builder);

// SHA-256 of the content, in hexadecimal. It depends on nothing else: not on the order in which a set happens to lie,
// nor on which equal objects are one. `has_shared`: some container occurs in several places.
//
// What is hashed: of a container its letter, its count of items as 8 bytes, and its items; of a frozenset, for want of
// an order, the sum of its items' digests. An item is a letter and what follows:
//   N T F   None, True, False       i s b   int, str, bytes: 8 bytes for the size, and the bytes; an int in two's
//   f c     8 or 16 bytes             complement, as short as can be; a str in UTF-8, lone surrogates as three bytes
//   t z m   the digest of a tuple, frozenset or mapping; a mapping's items are its keys and values in turn
// Numbers are little-endian.
std::string ContentDigest(PyObject* root, bool has_shared);

}  // namespace interpd::interp

#endif  // INTERPD_INTERP_CONSTANT_CONTENT_H_
