#include "channels/block_memory.h"

#include <sys/mman.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <cstdlib>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "channels/mpmc_ring.h"

namespace interpd::channels {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kUsesRegion = false;
#else
constexpr bool kUsesRegion = true;
#endif

// Two sizes: a short text with its header, and the largest that CPython calls small.
constexpr std::array<size_t, 2> kSizes = {128, 512};
constexpr size_t kBytesPerSize = size_t{64} << 20;
constexpr size_t kPacket = 32;

struct FreeBlockNode {
  FreeBlockNode* next;
};
using Packet = FreeBlockNode*;  // kPacket of them

// Of one size, what all threads share.
struct SharedBlocks {
  explicit SharedBlocks(size_t size) : free(kBytesPerSize / size / kPacket) {}
  MpmcRing<Packet> free;        // there is room for all packets of the region
  std::atomic<size_t> used{0};  // bytes of the region that were handed out for the first time
  absl::Mutex mutex;
  FreeBlockNode* single ABSL_GUARDED_BY(mutex) = nullptr;  // what threads that ended had, less than a packet
  size_t singles ABSL_GUARDED_BY(mutex) = 0;
};

// Of one size, a thread's own.
struct Cache {
  Packet loaded = nullptr;  // `count` blocks; or none, and a count of kPacket: it was not used yet, or the thread ends
  size_t count = kPacket;
  Packet spare = nullptr;  // kPacket blocks, or none
};

constexpr uintptr_t kNoRegion = uintptr_t{1} << 63;  // of no address

// relaxed, wherever it is used: who has a block of the region has it from a thread that saw the region.
std::atomic<uintptr_t> region{kNoRegion};

constinit thread_local std::array<Cache, kSizes.size()> caches;
constinit thread_local bool thread_ends = false;

// Where a block lies in the region, or something beyond its end.
uintptr_t Offset(const void* block) {
  return reinterpret_cast<uintptr_t>(block) - region.load(std::memory_order_relaxed);
}

SharedBlocks& SharedOf(size_t index) {
  static auto& shared = *new std::array<SharedBlocks, kSizes.size()>{SharedBlocks(kSizes[0]), SharedBlocks(kSizes[1])};
  return shared[index];  // outlives all threads
}

uintptr_t MapRegion() {
  void* memory = mmap(nullptr, kSizes.size() * kBytesPerSize, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  const uintptr_t address = memory == MAP_FAILED ? kNoRegion : reinterpret_cast<uintptr_t>(memory);
  region.store(address, std::memory_order_relaxed);
  return address;
}

// A packet that was never used; null when the region is.
Packet NewPacket(size_t index) {
  static const uintptr_t base = MapRegion();
  if (base == kNoRegion) return nullptr;
  const size_t bytes = kPacket * kSizes[index];
  std::atomic<size_t>& used = SharedOf(index).used;
  // relaxed: a share of the region is nobody else's.
  if (used.load(std::memory_order_relaxed) >= kBytesPerSize) return nullptr;
  const size_t at = used.fetch_add(bytes, std::memory_order_relaxed);
  if (at + bytes > kBytesPerSize) return nullptr;
  Packet packet = nullptr;
  for (size_t i = kPacket; i > 0; --i) {
    auto* node = reinterpret_cast<FreeBlockNode*>(base + index * kBytesPerSize + at + (i - 1) * kSizes[index]);
    node->next = packet;
    packet = node;
  }
  return packet;
}

void AddSingle(FreeBlockNode* node, size_t index) {
  SharedBlocks& shared = SharedOf(index);
  absl::MutexLock lock(shared.mutex);
  node->next = shared.single;
  shared.single = node;
  if (++shared.singles < kPacket) return;
  shared.free.TryPush(shared.single);
  shared.single = nullptr;
  shared.singles = 0;
}

// What a thread has when it ends goes to the others.
struct GiveBackAtEnd {
  ~GiveBackAtEnd() {
    thread_ends = true;
    for (size_t index = 0; index < kSizes.size(); ++index) {
      Cache& cache = caches[index];
      if (cache.spare != nullptr) SharedOf(index).free.TryPush(cache.spare);
      while (FreeBlockNode* node = cache.loaded) {
        cache.loaded = node->next;
        AddSingle(node, index);
      }
      cache = {};
    }
  }
};

void GiveBackWhenThreadEnds() { static thread_local GiveBackAtEnd end; }

// Makes cache.loaded a packet, or returns false.
bool Load(Cache& cache, size_t index) {
  GiveBackWhenThreadEnds();
  if (thread_ends) return false;
  Packet packet = cache.spare;
  cache.spare = nullptr;
  if (packet == nullptr && !SharedOf(index).free.TryPop(&packet)) packet = NewPacket(index);
  if (packet == nullptr) return false;
  cache.loaded = packet;
  cache.count = kPacket;
  return true;
}

// Makes room in a cache whose loaded packet is full. False: the thread ends.
bool Unload(Cache& cache, size_t index) {
  GiveBackWhenThreadEnds();
  if (thread_ends) return false;
  if (cache.loaded != nullptr) {
    if (cache.spare != nullptr) SharedOf(index).free.TryPush(cache.spare);
    cache.spare = cache.loaded;
    cache.loaded = nullptr;
  }
  cache.count = 0;
  return true;
}

}  // namespace

void* AllocateBlock(size_t bytes) {
  if (!kUsesRegion || bytes > kSizes.back()) return std::malloc(bytes);
  const size_t index = bytes > kSizes[0] ? 1 : 0;
  Cache& cache = caches[index];
  if (cache.loaded == nullptr && !Load(cache, index)) return std::malloc(bytes);
  FreeBlockNode* block = cache.loaded;
  cache.loaded = block->next;
  --cache.count;
  return block;
}

void FreeBlock(void* block) {
  const uintptr_t offset = Offset(block);
  if (offset >= kSizes.size() * kBytesPerSize) {
    std::free(block);
    return;
  }
  const size_t index = offset / kBytesPerSize;
  Cache& cache = caches[index];
  auto* node = static_cast<FreeBlockNode*>(block);
  if (cache.count == kPacket && !Unload(cache, index)) return AddSingle(node, index);
  node->next = cache.loaded;
  cache.loaded = node;
  ++cache.count;
}

size_t SmallBlockSize(const void* block) {
  const uintptr_t offset = Offset(block);
  return offset < kSizes.size() * kBytesPerSize ? kSizes[offset / kBytesPerSize] : 0;
}

}  // namespace interpd::channels
