// CPython's raw memory: malloc, which also takes back the small blocks that Values brought in as objects, and counts
// what each interpreter has (memory_account.h).
//
// Who includes this: python_runtime; adopted_text and interpreter_link, which bring blocks in and leave some behind.
//
// The object allocator keeps large blocks, and those that Values brought in, in raw memory. It counts them for each
// interpreter, and must find the count at 0 when the interpreter ends, or it leaks the interpreter's memory.
#ifndef INTERPD_INTERP_RAW_MEMORY_H_
#define INTERPD_INTERP_RAW_MEMORY_H_

namespace interpd::interp {

// Between CPython's preinitialization and its initialization, once.
void InstallRawMemory();

// Makes `block`, of channels::AllocateBlock, one that the current interpreter has allocated for an object. Requires an
// attached thread.
void AdoptBlock(void* block);

// One block less that the current interpreter has allocated: it stays, and is freed behind its back. Requires an
// attached thread. False when memory is short.
bool UncountBlock();

}  // namespace interpd::interp

#endif  // INTERPD_INTERP_RAW_MEMORY_H_
