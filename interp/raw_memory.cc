#include "interp/raw_memory.h"

#include <cstddef>
#include <cstring>
#include <utility>

#include "absl/log/check.h"
#include "channels/block_memory.h"
#include "interp/python_api.h"

namespace interpd::interp {
namespace {

// What was installed before; it goes by malloc.
PyMemAllocatorEx before;

// More than the object allocator's pools take.
constexpr size_t kBeyondPools = 513;

// What the thread's next allocation gets.
constinit thread_local void* adopted = nullptr;

void* Malloc(void*, size_t size) {
  if (adopted != nullptr) return std::exchange(adopted, nullptr);
  return before.malloc(before.ctx, size);
}
void* Calloc(void*, size_t count, size_t size) { return before.calloc(before.ctx, count, size); }
void Free(void*, void* block) { channels::FreeBlock(block); }

void* Realloc(void*, void* block, size_t size) {
  const size_t small = channels::SmallBlockSize(block);
  if (small == 0) return before.realloc(before.ctx, block, size);
  if (size <= small) return block;
  void* larger = before.malloc(before.ctx, size);
  if (larger == nullptr) return nullptr;
  std::memcpy(larger, block, small);
  channels::FreeBlock(block);
  return larger;
}

}  // namespace

void InstallRawMemory() {
  PyMem_GetAllocator(PYMEM_DOMAIN_RAW, &before);
  PyMemAllocatorEx ours = {.ctx = nullptr, .malloc = Malloc, .calloc = Calloc, .realloc = Realloc, .free = Free};
  PyMem_SetAllocator(PYMEM_DOMAIN_RAW, &ours);
}

// There is no function to count with. But what the object allocator has no pool for it asks raw memory for, and counts:
// so it is made to ask, and is given the block.
void AdoptBlock(void* block) {
  adopted = block;
  CHECK_EQ(PyObject_Malloc(kBeyondPools), block);
}

bool UncountBlock() {
  void* block = PyMem_RawMalloc(kBeyondPools);
  PyObject_Free(block);
  return block != nullptr;
}

}  // namespace interpd::interp
