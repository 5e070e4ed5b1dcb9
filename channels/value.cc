#include "channels/value.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>
#include <type_traits>

#include "absl/log/check.h"

namespace interpd::channels {

// What a Value points at. Two layouts:
//   nodes          header (16 bytes), then nodes in pre-order, not aligned
//   a run of bytes header, room, the bytes from TextOffset(kind) on, a NUL      (the Value's kind says what it is)
// A node is a byte for its kind and a payload:
//   None -   bool 1   int 8   float 8   complex 16   container 8 (count)   buffer and channel 8 (a counted Shared*)
//   run of bytes   8 (size) and the bytes; or, the kind's byte with kApart, 8 (a Block* of the second layout, or null
//                  where a ValueConsumer took it)
struct internal::Block {
  uint64_t size;               // bytes of nodes, or of the run
  std::atomic<uint32_t> refs;  // Values and nodes that point here
  uint32_t refers : 1;         // some node owns something: whoever drops the last reference must walk them

  char* nodes() { return reinterpret_cast<char*>(this + 1); }
  char* text(Kind kind) { return reinterpret_cast<char*>(this) + Value::TextOffset(kind); }
};

namespace {

using internal::Block;
static_assert(sizeof(Block) == 16);
static_assert(std::is_trivially_destructible_v<Block>);

// Runs of bytes within containers that are at least this long lie in blocks of their own, which a receiver may take
// over as they are. Below that one copy more costs less than one allocation more.
constexpr size_t kApartBytes = 4096;
constexpr uint8_t kApart = 0x80;

template <typename T>
T Load(const char* from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}

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
  void* memory = std::malloc(sizeof(Block) + bytes_after_header);
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

void Retain(Block* block) {
  // relaxed: as Shared::AddRef.
  block->refs.fetch_add(1, std::memory_order_relaxed);
}

bool IsOnlyOwner(const Block* block) {
  // acquire: what former owners did, and read, is over.
  return block->refs.load(std::memory_order_acquire) == 1;
}

// Whether the caller was the last owner, and must free it.
bool Release(Block* block) {
  if (IsOnlyOwner(block)) return true;  // saves the exchange
  // As Shared::Unref.
  return block->refs.fetch_sub(1, std::memory_order_acq_rel) == 1;
}

void ReleaseText(Block* block) {
  if (block != nullptr && Release(block)) std::free(block);
}

bool IsApart(const char* node) { return static_cast<uint8_t>(*node) & kApart; }

// Reads the node at *position and moves past it, not past its elements.
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

// Gives back what the nodes own.
void ReleaseNodes(char* position, const char* end) {
  while (position != end) {
    char* const start = position;
    const bool apart = IsApart(start);
    const Node node = ReadNode(&position);
    if (node.shared != nullptr) node.shared->Unref();
    if (apart) ReleaseText(Load<Block*>(start + 1));
  }
}

}  // namespace

std::string_view TypeName(Kind kind) {
  switch (kind) {
    case Kind::kNone: return "NoneType";
    case Kind::kBool: return "bool";
    case Kind::kInt:
    case Kind::kBigInt: return "int";
    case Kind::kFloat: return "float";
    case Kind::kComplex: return "complex";
    case Kind::kAsciiStr:
    case Kind::kStr:
    case Kind::kSurrogateStr:
    case Kind::kUcs1Str:
    case Kind::kUcs2Str:
    case Kind::kUcs4Str: return "str";
    case Kind::kBytes: return "bytes";
    case Kind::kPickle: return "object";
    case Kind::kBuffer: return "memoryview";
    case Kind::kChannel: return "interpd.Channel";
    case Kind::kTuple: return "tuple";
    case Kind::kList: return "list";
    case Kind::kSet: return "set";
    case Kind::kFrozenSet: return "frozenset";
    case Kind::kDict: return "dict";
  }
  return "?";
}

template <typename Character>
Kind AppendUtf8(std::string_view text, std::string* out) {
  Kind kind = Kind::kStr;
  for (size_t i = 0; i < text.size(); i += sizeof(Character)) {
    const uint32_t c = Load<Character>(text.data() + i);
    auto tail = [&](int shift) { return static_cast<char>(0x80 | (c >> shift & 0x3f)); };
    if (c < 0x80) {
      out->push_back(static_cast<char>(c));
    } else if (c < 0x800) {
      const char bytes[] = {static_cast<char>(0xc0 | c >> 6), tail(0)};
      out->append(bytes, sizeof(bytes));
    } else if (c < 0x10000) {
      if (c >= 0xd800 && c < 0xe000) kind = Kind::kSurrogateStr;
      const char bytes[] = {static_cast<char>(0xe0 | c >> 12), tail(6), tail(0)};
      out->append(bytes, sizeof(bytes));
    } else {
      const char bytes[] = {static_cast<char>(0xf0 | c >> 18), tail(12), tail(6), tail(0)};
      out->append(bytes, sizeof(bytes));
    }
  }
  return kind;
}

Kind AppendUtf8(const Node& node, std::string* out) {
  switch (CharacterSize(node.kind)) {
    case 4: return AppendUtf8<uint32_t>(node.bytes, out);
    case 2: return AppendUtf8<uint16_t>(node.bytes, out);
    default: return AppendUtf8<uint8_t>(node.bytes, out);
  }
}

// ---- Value --------------------------------------------------------------------------------------------------------

Value Value::Bool(bool value) {
  Value result;
  result.kind_ = Kind::kBool;
  result.u_.bool_ = value;
  return result;
}

Value Value::Float(double value) {
  Value result;
  result.kind_ = Kind::kFloat;
  result.u_.float_ = value;
  return result;
}

Value Value::Str(std::string_view utf8) { return Text(IsAscii(utf8) ? Kind::kAsciiStr : Kind::kStr, utf8); }

Value Value::Text(Kind kind, std::string_view text) {
  char* space;
  Value result = TextSpace(kind, text.size(), &space);
  if (!text.empty()) std::memcpy(space, text.data(), text.size());
  return result;
}

Value Value::TextSpace(Kind kind, size_t size, char** space) {
  Value result;
  result.u_.block_ = NewText(kind, size);
  result.kind_ = kind;
  *space = result.u_.block_->text(kind);
  return result;
}

void Value::Drop() {
  if (!has_block()) {
    u_.shared_->Unref();
  } else if (Release(u_.block_)) {
    if (u_.block_->refers) ReleaseNodes(u_.block_->nodes(), u_.block_->nodes() + u_.block_->size);
    std::free(u_.block_);
  }
}

Value Value::Share() const {
  Value copy;
  copy.u_ = u_;
  copy.kind_ = kind_;
  if (has_block()) {
    Retain(u_.block_);
  } else if (owns()) {
    u_.shared_->AddRef();
  }
  return copy;
}

size_t Value::memory() const {
  if (!has_block()) return sizeof(Value);
  size_t size = sizeof(Value) + sizeof(Block) + u_.block_->size;
  if (!u_.block_->refers) return size;
  char* const end = u_.block_->nodes() + u_.block_->size;
  for (char* position = u_.block_->nodes(); position != end;) {
    const bool apart = IsApart(position);
    const Node node = ReadNode(&position);
    if (apart) size += sizeof(Block) + node.bytes.size();
  }
  return size;
}

char* Value::ReleaseText() {
  if (!HasBytes(kind_) || !IsOnlyOwner(u_.block_)) return nullptr;
  kind_ = Kind::kNone;
  return reinterpret_cast<char*>(u_.block_);
}

namespace {

bool SameNode(const Node& a, const Node& b) {
  // Bits, as everywhere inside containers.
  return a.kind == b.kind && a.bool_value == b.bool_value && a.int_value == b.int_value &&
         std::memcmp(&a.real, &b.real, sizeof(double)) == 0 && std::memcmp(&a.imag, &b.imag, sizeof(double)) == 0 &&
         a.bytes == b.bytes && a.count == b.count && a.shared == b.shared;
}

}  // namespace

bool operator==(const Value& a, const Value& b) {
  if (a.kind_ != b.kind_) return false;
  switch (a.kind_) {
    case Kind::kNone: return true;
    case Kind::kBool: return a.u_.bool_ == b.u_.bool_;
    case Kind::kInt: return a.u_.int_ == b.u_.int_;
    // Bits, so that NaN equals NaN; then the usual comparison, so that 0.0 equals -0.0.
    case Kind::kFloat:
      return std::memcmp(&a.u_.float_, &b.u_.float_, sizeof(double)) == 0 || a.u_.float_ == b.u_.float_;
    case Kind::kBuffer:
    case Kind::kChannel: return a.u_.shared_ == b.u_.shared_;
    default: break;
  }
  if (a.u_.block_ == b.u_.block_) return true;
  ValueReader left(a), right(b);
  while (!left.done() && !right.done()) {
    if (!SameNode(left.Next(), right.Next())) return false;
  }
  return left.done() && right.done();
}

// ---- ValueReader --------------------------------------------------------------------------------------------------

ValueReader::ValueReader(const Value& value) {
  if (IsContainer(value.kind_) || value.kind_ == Kind::kComplex) {
    position_ = value.u_.block_->nodes();
    end_ = position_ + value.u_.block_->size;
  } else {
    scalar_ = &value;
  }
}

Node ValueReader::Next() {
  if (scalar_ == nullptr) return ReadNode(&position_);
  const Value& value = *std::exchange(scalar_, nullptr);
  Node node;
  node.kind = value.kind_;
  switch (node.kind) {
    case Kind::kNone: break;
    case Kind::kBool: node.bool_value = value.u_.bool_; break;
    case Kind::kInt: node.int_value = value.u_.int_; break;
    case Kind::kFloat: node.real = value.u_.float_; break;
    case Kind::kBuffer:
    case Kind::kChannel: node.shared = value.u_.shared_; break;
    default: node.bytes = std::string_view(value.u_.block_->text(node.kind), value.u_.block_->size); break;
  }
  return node;
}

ValueConsumer::ValueConsumer(Value&& value)
    : value_(value), only_owner_(value.has_block() && IsOnlyOwner(value.u_.block_)), reader_(value) {}

char* ValueConsumer::ReleaseText(const Node& node) {
  if (reader_.position_ == nullptr) return value_.ReleaseText();
  char* const start = reader_.position_ - 1 - sizeof(Block*);
  // Only that text is apart whose bytes are not right before the next node.
  if (!only_owner_ || node.bytes.data() + node.bytes.size() == reader_.position_) return nullptr;
  auto* block = Load<Block*>(start + 1);
  if (!IsOnlyOwner(block)) return nullptr;
  std::memset(start + 1, 0, sizeof(Block*));
  return reinterpret_cast<char*>(block);
}

// ---- ValueBuilder -------------------------------------------------------------------------------------------------

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

void ValueBuilder::Put(Kind kind, const void* payload, size_t size) {
  char* at = Grow(1 + size);
  *at = static_cast<char>(kind);
  if (size != 0) std::memcpy(at + 1, payload, size);
}

void ValueBuilder::None() { Put(Kind::kNone, nullptr, 0); }
void ValueBuilder::Bool(bool value) { Put(Kind::kBool, &value, 1); }
void ValueBuilder::Int(int64_t value) { Put(Kind::kInt, &value, sizeof(value)); }
void ValueBuilder::Float(double value) { Put(Kind::kFloat, &value, sizeof(value)); }

void ValueBuilder::Complex(double real, double imag) {
  double parts[] = {real, imag};
  Put(Kind::kComplex, parts, sizeof(parts));
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
    Put(static_cast<Kind>(static_cast<uint8_t>(kind) | kApart), &block, sizeof(block));
    refers_ = true;
    apart_size_ += text.size();
  } else {
    uint64_t size = text.size();
    Put(kind, &size, sizeof(size));
    if (size != 0) std::memcpy(Grow(size), text.data(), size);
  }
}

void ValueBuilder::Buffer(Ref<Shared> view) {
  Shared* shared = view.release();
  Put(Kind::kBuffer, &shared, sizeof(shared));
  refers_ = true;
}

void ValueBuilder::Channel(Ref<Shared> channel) {
  Shared* shared = channel.release();
  Put(Kind::kChannel, &shared, sizeof(shared));
  refers_ = true;
}

void ValueBuilder::Begin(Kind kind, size_t count) {
  uint64_t wide = count;
  Put(kind, &wide, sizeof(wide));
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
