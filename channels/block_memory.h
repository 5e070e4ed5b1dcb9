// Memory for the small blocks of Values, which one thread allocates and another frees.
//
// Who includes this: value_block.h; and who frees a block that became a Python object.
//
// malloc gives a freed block back to the arena of the thread that allocated it, under that arena's lock: of a producer
// and a consumer on two cores, each waits for the other at every message. Here a freed block belongs to the thread that
// freed it; blocks go back to those who allocate by packets of 32, over a ring.
//
// Small blocks lie in one region of address space, so that an address tells what they are. What the region and malloc
// hand out is freed by FreeBlock alike. Memory of the region is used again, and stays with the process; when all of it
// is in use, small blocks come from malloc too. Under AddressSanitizer and ThreadSanitizer all come from malloc: they
// watch that.
//
// Thread safety: all functions, any thread. Lock-free while the region lasts, but for the first use in a thread and its
// end.
#ifndef INTERPD_CHANNELS_BLOCK_MEMORY_H_
#define INTERPD_CHANNELS_BLOCK_MEMORY_H_

#include <cstddef>

namespace interpd::channels {

// At least so many bytes, aligned to 16; null when there is no memory.
void* AllocateBlock(size_t bytes);

// Of AllocateBlock or malloc; null is none.
void FreeBlock(void* block);

// The size of a block of the region; 0 for what malloc handed out.
size_t SmallBlockSize(const void* block);

}  // namespace interpd::channels

#endif  // INTERPD_CHANNELS_BLOCK_MEMORY_H_
