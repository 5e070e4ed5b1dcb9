#include "interp/raw_memory.h"

#include <malloc.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "absl/log/check.h"
#include "channels/block_memory.h"
#include "interp/memory_account.h"
#include "interp/python_api.h"

namespace interpd::interp {
namespace {

// What was installed before; it goes by malloc.
PyMemAllocatorEx before;

// More than the object allocator's pools take.
constexpr size_t kBeyondPools = 513;

// What the thread's next allocation gets.
constinit thread_local void* adopted = nullptr;

int64_t SizeOf(void* block) {
  if (block == nullptr) return 0;
  const size_t small = channels::SmallBlockSize(block);
  return static_cast<int64_t>(small != 0 ? small : malloc_usable_size(block));
}

void* Counted(void* block) {
  MemoryAccount::Add(SizeOf(block));
  return block;
}

void* Malloc(void*, size_t size) {
  if (adopted != nullptr) return Counted(std::exchange(adopted, nullptr));
  return Counted(before.malloc(before.ctx, size));
}
void* Calloc(void*, size_t count, size_t size) { return Counted(before.calloc(before.ctx, count, size)); }
void Free(void*, void* block) {
  MemoryAccount::Add(-SizeOf(block));
  channels::FreeBlock(block);
}

void* Realloc(void*, void* block, size_t size) {
  const size_t small = block == nullptr ? 0 : channels::SmallBlockSize(block);
  if (small == 0) {
    const int64_t size_before = SizeOf(block);
    void* moved = before.realloc(before.ctx, block, size);
    if (moved != nullptr) MemoryAccount::Add(SizeOf(moved) - size_before);
    return moved;
  }
  if (size <= small) return block;
  void* larger = Malloc(nullptr, size);
  if (larger == nullptr) return nullptr;
  std::memcpy(larger, block, small);
  Free(nullptr, block);
  return larger;
}

// Where the object allocator's pools lie, as it was before; an arena has 1 MiB.
PyObjectArenaAllocator arenas_before;

void* AllocateArena(void*, size_t size) {
  void* arena = arenas_before.alloc(arenas_before.ctx, size);
  if (arena != nullptr) MemoryAccount::Add(static_cast<int64_t>(size));
  return arena;
}
void FreeArena(void*, void* arena, size_t size) {
  MemoryAccount::Add(-static_cast<int64_t>(size));
  arenas_before.free(arenas_before.ctx, arena, size);
}

}  // namespace

void InstallRawMemory() {
  PyMem_GetAllocator(PYMEM_DOMAIN_RAW, &before);
  PyMemAllocatorEx ours = {.ctx = nullptr, .malloc = Malloc, .calloc = Calloc, .realloc = Realloc, .free = Free};
  PyMem_SetAllocator(PYMEM_DOMAIN_RAW, &ours);
  PyObject_GetArenaAllocator(&arenas_before);
  PyObjectArenaAllocator our_arenas = {.ctx = nullptr, .alloc = AllocateArena, .free = FreeArena};
  PyObject_SetArenaAllocator(&our_arenas);
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
