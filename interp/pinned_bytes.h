// PinnedBytes: a `bytes` object of one interpreter as a Buffer that others may hold, without a copy.
//
// Who includes this: the host module, to send a memoryview of bytes.
//
// The object stays referenced in its interpreter until the last holder drops the Buffer; then an errand
// (interpreter_link.h) drops that reference there. Nobody touches the object from another interpreter, only its bytes,
// which never change. If its interpreter ends first, the object is left behind: it is a block from malloc, referenced
// still, so nothing of the interpreter's end frees it; the last holder then frees the block.
#ifndef INTERPD_INTERP_PINNED_BYTES_H_
#define INTERPD_INTERP_PINNED_BYTES_H_

#include "channels/buffer.h"
#include "interp/interpreter_link.h"
#include "interp/python_api.h"

namespace interpd::interp {

// A read-only Buffer of the bytes of `object`, an exact `bytes`. One of a constant is kept by that. Small ones, which
// live in pools of the interpreter, are copied, as are those of an interpreter that ends. Null with MemoryError set.
// Requires an attached thread.
channels::Ref<channels::Buffer> ShareBytes(InterpreterLink& link, PyObject* object);

}  // namespace interpd::interp

#endif  // INTERPD_INTERP_PINNED_BYTES_H_
