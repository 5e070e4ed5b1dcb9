// The memory that a Value points at.
//
// Who includes this: value.cc, value_block.cc and value_builder.cc alone; everybody else sees value.h.
#ifndef INTERPD_CHANNELS_VALUE_BLOCK_H_
#define INTERPD_CHANNELS_VALUE_BLOCK_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <type_traits>

#include "channels/block_memory.h"
#include "channels/value.h"

namespace interpd::channels {

// What a Value points at. Two layouts:
//   nodes          header (16 bytes), then nodes in pre-order, not aligned
//   a run of bytes header, room, the bytes from TextOffset(kind) on, a NUL      (the Value's kind says what it is)
// A node is a byte for its kind and a payload:
//   None -   bool 1   int 8   float 8   complex 16   container 8 (count)
//   buffer, channel, constant   8 (a counted Shared*)
//   run of bytes   8 (size) and the bytes; or, the kind's byte with kApart, 8 (a Block* of the second layout, or null
//                  where a ValueConsumer took it)
struct internal::Block {
  uint64_t size;               // bytes of nodes, or of the run
  std::atomic<uint32_t> refs;  // Values and nodes that point here
  uint32_t refers : 1;         // some node owns something: whoever drops the last reference must walk them

  char* nodes() { return reinterpret_cast<char*>(this + 1); }
  char* text(Kind kind) { return reinterpret_cast<char*>(this) + Value::TextOffset(kind); }
};

namespace internal {

static_assert(sizeof(Block) == 16);
static_assert(std::is_trivially_destructible_v<Block>);

// Runs of bytes within containers that are at least this long lie in blocks of their own, which a receiver may take
// over as they are. Below that one copy more costs less than one allocation more.
constexpr size_t kApartBytes = 4096;
constexpr uint8_t kApart = 0x80;

template <typename T>
T Load(const char* from) {
  T value;
  std::memcpy(static_cast<void*>(&value), from, sizeof(T));
  return value;
}

bool IsAscii(std::string_view text);

// One owner. The caller sets its size.
Block* NewBlock(size_t bytes_after_header);
// For a run of bytes, which the caller writes; the NUL is there.
Block* NewText(Kind kind, size_t size);

inline void Retain(Block* block) {
  // relaxed: as Shared::AddRef.
  block->refs.fetch_add(1, std::memory_order_relaxed);
}

inline bool IsOnlyOwner(const Block* block) {
  // acquire: what former owners did, and read, is over.
  return block->refs.load(std::memory_order_acquire) == 1;
}

// Whether the caller was the last owner, and must free it.
inline bool Release(Block* block) {
  if (IsOnlyOwner(block)) return true;  // saves the exchange
  // As Shared::Unref.
  return block->refs.fetch_sub(1, std::memory_order_acq_rel) == 1;
}

inline void ReleaseText(Block* block) {
  if (block != nullptr && Release(block)) FreeBlock(block);
}

inline bool IsApart(const char* node) { return static_cast<uint8_t>(*node) & kApart; }

// Reads the node at *position and moves past it, not past its elements.
Node ReadNode(char** position);

// Gives back what the nodes own.
void ReleaseNodes(char* position, const char* end);

}  // namespace internal
}  // namespace interpd::channels

#endif  // INTERPD_CHANNELS_VALUE_BLOCK_H_
