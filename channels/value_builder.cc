#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "absl/log/check.h"
#include "channels/value.h"
#include "channels/value_block.h"

namespace interpd::channels {

using internal::Block;
using internal::IsAscii;
using internal::kApart;
using internal::kApartBytes;
using internal::NewText;
using internal::ReadNode;
using internal::ReleaseNodes;

ValueBuilder::~ValueBuilder() {
  if (refers_) ReleaseNodes(block_->nodes(), block_->nodes() + size_);
  std::free(block_);
}

char* ValueBuilder::Grow(size_t bytes) {
  if (size_ + bytes > capacity_) {
    capacity_ = std::max<size_t>(size_ + bytes, capacity_ == 0 ? 48 : 2 * capacity_);
    block_ = static_cast<Block*>(std::realloc(static_cast<void*>(block_), sizeof(Block) + capacity_));
    CHECK(block_ != nullptr) << "out of memory";
  }
  char* at = block_->nodes() + size_;
  size_ += bytes;
  return at;
}

template <typename Payload>
void ValueBuilder::Put(Kind kind, const Payload& payload, uint8_t mark) {
  char* at = Grow(1 + sizeof(Payload));
  *at = static_cast<char>(static_cast<uint8_t>(kind) | mark);
  std::memcpy(at + 1, static_cast<const void*>(&payload), sizeof(Payload));
}

void ValueBuilder::None() { *Grow(1) = static_cast<char>(Kind::kNone); }
void ValueBuilder::Bool(bool value) { Put(Kind::kBool, value); }
void ValueBuilder::Int(int64_t value) { Put(Kind::kInt, value); }
void ValueBuilder::Float(double value) { Put(Kind::kFloat, value); }

void ValueBuilder::Complex(double real, double imag) {
  const double parts[] = {real, imag};
  Put(Kind::kComplex, parts);
}

void ValueBuilder::BigInt(std::string_view little_endian) {
  // Bytes that only repeat the sign say nothing.
  while (little_endian.size() > 1) {
    unsigned char last = little_endian.back();
    bool sign_before = little_endian[little_endian.size() - 2] & 0x80;
    if (!((last == 0 && !sign_before) || (last == 0xff && sign_before))) break;
    little_endian.remove_suffix(1);
  }
  if (little_endian.size() <= sizeof(int64_t)) {
    bool negative = !little_endian.empty() && (little_endian.back() & 0x80);
    int64_t value = negative ? -1 : 0;
    std::memcpy(&value, little_endian.data(), little_endian.size());
    Int(value);
  } else {
    Text(Kind::kBigInt, little_endian);
  }
}

void ValueBuilder::Str(std::string_view utf8) { Text(IsAscii(utf8) ? Kind::kAsciiStr : Kind::kStr, utf8); }

void ValueBuilder::Text(Kind kind, std::string_view text) {
  if (size_ == 0) {
    lone_ = Value::Text(kind, text);
    apart_size_ = text.size();
  } else if (text.size() >= kApartBytes) {
    Block* block = NewText(kind, text.size());
    std::memcpy(block->text(kind), text.data(), text.size());
    Put(kind, block, kApart);
    refers_ = true;
    apart_size_ += text.size();
  } else {
    uint64_t size = text.size();
    Put(kind, size);
    if (size != 0) std::memcpy(Grow(size), text.data(), size);
  }
}

void ValueBuilder::Refer(Kind kind, Ref<Shared> shared) {
  Shared* owned = shared.release();
  Put(kind, owned);
  refers_ = true;
}

void ValueBuilder::Buffer(Ref<Shared> view) { Refer(Kind::kBuffer, std::move(view)); }
void ValueBuilder::Channel(Ref<Shared> channel) { Refer(Kind::kChannel, std::move(channel)); }
void ValueBuilder::Constant(Ref<ConstantRef> constant) { Refer(Kind::kConstant, std::move(constant)); }

void ValueBuilder::Begin(Kind kind, size_t count) {
  uint64_t wide = count;
  Put(kind, wide);
}

void ValueBuilder::Append(const Value& value) {
  for (ValueReader reader(value); !reader.done();) {
    const Node node = reader.Next();
    switch (node.kind) {
      case Kind::kNone: None(); break;
      case Kind::kBool: Bool(node.bool_value); break;
      case Kind::kInt: Int(node.int_value); break;
      case Kind::kFloat: Float(node.real); break;
      case Kind::kComplex: Complex(node.real, node.imag); break;
      case Kind::kBigInt: BigInt(node.bytes); break;
      case Kind::kBuffer:
      case Kind::kChannel:
      case Kind::kConstant: Refer(node.kind, Ref<Shared>::Borrow(node.shared)); break;
      default:
        if (IsContainer(node.kind)) {
          Begin(node.kind, node.count);
        } else {
          Text(node.kind, node.bytes);
        }
    }
  }
}

Value ValueBuilder::Finish() && {
  if (size_ == 0) {
    CHECK(lone_.kind() != Kind::kNone) << "no value was written";
    return std::move(lone_);
  }
  char* position = block_->nodes();
  Node first = ReadNode(&position);
  Value value;
  switch (first.kind) {
    case Kind::kNone: return value;
    case Kind::kBool: return Value::Bool(first.bool_value);
    case Kind::kInt: return Value::Int(first.int_value);
    case Kind::kFloat: return Value::Float(first.real);
    case Kind::kBuffer:
    case Kind::kChannel:
    case Kind::kConstant:
      refers_ = false;  // it goes to the Value
      return Value::Referring(first.kind, Ref<Shared>::Adopt(first.shared));
    default: break;
  }
  // What doubling left over goes back when it is worth a realloc.
  if (capacity_ - size_ > 4096) {
    block_ = static_cast<Block*>(std::realloc(static_cast<void*>(block_), sizeof(Block) + size_));
  }
  value.u_.block_ = new (std::exchange(block_, nullptr)) Block{.size = size_, .refs = 1, .refers = refers_};
  value.kind_ = first.kind;
  size_ = capacity_ = apart_size_ = 0;
  refers_ = false;
  return value;
}

}  // namespace interpd::channels
