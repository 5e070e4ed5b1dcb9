#include "channels/value.h"

#include <bit>
#include <cstdlib>
#include <cstring>

#include "channels/value_block.h"

namespace interpd::channels {

using internal::Block;
using internal::IsApart;
using internal::IsAscii;
using internal::IsOnlyOwner;
using internal::Load;
using internal::NewText;
using internal::ReadNode;
using internal::Release;
using internal::ReleaseNodes;
using internal::Retain;

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
    case Kind::kConstant: return "constant";
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
    FreeBlock(u_.block_);
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

bool SameBits(double a, double b) { return std::bit_cast<uint64_t>(a) == std::bit_cast<uint64_t>(b); }

bool SameNode(const Node& a, const Node& b) {
  // Bits, as everywhere inside containers.
  return a.kind == b.kind && a.bool_value == b.bool_value && a.int_value == b.int_value && SameBits(a.real, b.real) &&
         SameBits(a.imag, b.imag) && a.bytes == b.bytes && a.count == b.count && a.shared == b.shared;
}

}  // namespace

bool operator==(const Value& a, const Value& b) {
  if (a.kind_ != b.kind_) return false;
  switch (a.kind_) {
    case Kind::kNone: return true;
    case Kind::kBool: return a.u_.bool_ == b.u_.bool_;
    case Kind::kInt: return a.u_.int_ == b.u_.int_;
    // Bits, so that NaN equals NaN; then the usual comparison, so that 0.0 equals -0.0.
    case Kind::kFloat: return SameBits(a.u_.float_, b.u_.float_) || a.u_.float_ == b.u_.float_;
    case Kind::kBuffer:
    case Kind::kChannel:
    case Kind::kConstant: return a.u_.shared_ == b.u_.shared_;
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
    case Kind::kChannel:
    case Kind::kConstant: node.shared = value.u_.shared_; break;
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

}  // namespace interpd::channels
