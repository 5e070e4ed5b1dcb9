#include "channels/value_block.h"

#include <new>

#include "absl/log/check.h"

namespace interpd::channels::internal {

bool IsAscii(std::string_view text) {
  // Eight characters at a time: any high bit set means another encoding.
  size_t i = 0;
  for (; i + 8 <= text.size(); i += 8) {
    if (Load<uint64_t>(text.data() + i) & 0x8080808080808080u) return false;
  }
  for (; i < text.size(); ++i) {
    if (text[i] & 0x80) return false;
  }
  return true;
}

Block* NewBlock(size_t bytes_after_header) {
  void* memory = AllocateBlock(sizeof(Block) + bytes_after_header);
  CHECK(memory != nullptr) << "out of memory";
  auto* block = new (memory) Block;
  // relaxed: nobody else knows it.
  block->refs.store(1, std::memory_order_relaxed);
  block->refers = 0;
  return block;
}

Block* NewText(Kind kind, size_t size) {
  constexpr size_t kNul = 4;  // the widest
  Block* block = NewBlock(Value::TextOffset(kind) - sizeof(Block) + size + kNul);
  block->size = size;
  std::memset(block->text(kind) + size, 0, kNul);
  return block;
}

Node ReadNode(char** position) {
  char* at = *position;
  Node node;
  const uint8_t byte = static_cast<uint8_t>(*at++);
  node.kind = static_cast<Kind>(byte & ~kApart);
  switch (node.kind) {
    case Kind::kNone: break;
    case Kind::kBool: node.bool_value = *at++ != 0; break;
    case Kind::kInt:
      node.int_value = Load<int64_t>(at);
      at += sizeof(int64_t);
      break;
    case Kind::kFloat:
      node.real = Load<double>(at);
      at += sizeof(double);
      break;
    case Kind::kComplex:
      node.real = Load<double>(at);
      node.imag = Load<double>(at + sizeof(double));
      at += 2 * sizeof(double);
      break;
    case Kind::kBigInt:
    case Kind::kAsciiStr:
    case Kind::kStr:
    case Kind::kSurrogateStr:
    case Kind::kUcs1Str:
    case Kind::kUcs2Str:
    case Kind::kUcs4Str:
    case Kind::kBytes:
    case Kind::kPickle:
      if (byte & kApart) {
        auto* block = Load<Block*>(at);
        if (block != nullptr) node.bytes = std::string_view(block->text(node.kind), block->size);
        at += sizeof(Block*);
      } else {
        size_t size = Load<uint64_t>(at);
        node.bytes = std::string_view(at + sizeof(uint64_t), size);
        at += sizeof(uint64_t) + size;
      }
      break;
    case Kind::kBuffer:
    case Kind::kChannel:
    case Kind::kConstant:
      node.shared = Load<Shared*>(at);
      at += sizeof(Shared*);
      break;
    case Kind::kTuple:
    case Kind::kList:
    case Kind::kSet:
    case Kind::kFrozenSet:
    case Kind::kDict:
      node.count = Load<uint64_t>(at);
      at += sizeof(uint64_t);
      break;
  }
  *position = at;
  return node;
}

void ReleaseNodes(char* position, const char* end) {
  while (position != end) {
    char* const start = position;
    const bool apart = IsApart(start);
    const Node node = ReadNode(&position);
    if (node.shared != nullptr) node.shared->Unref();
    if (apart) ReleaseText(Load<Block*>(start + 1));
  }
}

}  // namespace interpd::channels::internal
