#include "channels/value.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "absl/log/check.h"

namespace interpd::channels {
namespace {

constexpr size_t kHeader = sizeof(uint64_t);  // the block's size, itself not counted

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

// Reads the node at *position and moves past it, not past its elements.
Node ReadNode(const char** position) {
  const char* at = *position;
  Node node;
  node.kind = static_cast<Kind>(*at++);
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
    case Kind::kBytes: {
      size_t size = Load<uint64_t>(at);
      node.bytes = std::string_view(at + sizeof(uint64_t), size);
      at += sizeof(uint64_t) + size;
      break;
    }
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
    case Kind::kSurrogateStr: return "str";
    case Kind::kBytes: return "bytes";
    case Kind::kTuple: return "tuple";
    case Kind::kList: return "list";
    case Kind::kSet: return "set";
    case Kind::kFrozenSet: return "frozenset";
    case Kind::kDict: return "dict";
  }
  return "?";
}

// ---- Value --------------------------------------------------------------------------------------------------------

Value Value::Bool(bool value) {
  Value result;
  result.kind_ = Kind::kBool;
  result.u_.bool_ = value;
  return result;
}

Value Value::Int(int64_t value) {
  Value result;
  result.kind_ = Kind::kInt;
  result.u_.int_ = value;
  return result;
}

Value Value::Float(double value) {
  Value result;
  result.kind_ = Kind::kFloat;
  result.u_.float_ = value;
  return result;
}

Value Value::Str(std::string_view utf8) {
  ValueBuilder builder;
  builder.Str(utf8);
  return std::move(builder).Finish();
}

Value Value::Bytes(std::string_view bytes) {
  ValueBuilder builder;
  builder.Bytes(bytes);
  return std::move(builder).Finish();
}

Value& Value::operator=(Value&& other) noexcept {
  if (this != &other) {
    Reset();
    u_ = other.u_;
    kind_ = std::exchange(other.kind_, Kind::kNone);
  }
  return *this;
}

void Value::Reset() {
  if (block_owned()) std::free(u_.block_);
  kind_ = Kind::kNone;
}

size_t Value::block_size() const { return kHeader + Load<uint64_t>(u_.block_); }

Value Value::Clone() const {
  Value copy;
  copy.u_ = u_;
  copy.kind_ = kind_;
  if (block_owned()) {
    copy.u_.block_ = static_cast<char*>(std::malloc(block_size()));
    CHECK(copy.u_.block_ != nullptr) << "out of memory";
    std::memcpy(copy.u_.block_, u_.block_, block_size());
  }
  return copy;
}

bool operator==(const Value& a, const Value& b) {
  if (a.kind_ != b.kind_) return false;
  switch (a.kind_) {
    case Kind::kNone: return true;
    case Kind::kBool: return a.u_.bool_ == b.u_.bool_;
    case Kind::kInt: return a.u_.int_ == b.u_.int_;
    // Bits, so that NaN equals NaN; then the usual comparison, so that 0.0 equals -0.0.
    case Kind::kFloat:
      return std::memcmp(&a.u_.float_, &b.u_.float_, sizeof(double)) == 0 || a.u_.float_ == b.u_.float_;
    default: return a.block_size() == b.block_size() && std::memcmp(a.u_.block_, b.u_.block_, a.block_size()) == 0;
  }
}

// ---- ValueReader --------------------------------------------------------------------------------------------------

ValueReader::ValueReader(const Value& value) {
  if (value.block_owned()) {
    position_ = value.u_.block_ + kHeader;
    end_ = value.u_.block_ + value.block_size();
  } else {
    scalar_ = &value;
  }
}

Node ValueReader::Next() {
  if (scalar_ == nullptr) return ReadNode(&position_);
  Node node;
  node.kind = scalar_->kind_;
  switch (node.kind) {
    case Kind::kBool: node.bool_value = scalar_->u_.bool_; break;
    case Kind::kInt: node.int_value = scalar_->u_.int_; break;
    case Kind::kFloat: node.real = scalar_->u_.float_; break;
    default: break;
  }
  scalar_ = nullptr;
  return node;
}

// ---- ValueBuilder -------------------------------------------------------------------------------------------------

ValueBuilder::~ValueBuilder() { std::free(block_); }

char* ValueBuilder::Grow(size_t bytes) {
  if (size_ + bytes > capacity_) {
    capacity_ = std::max<size_t>(size_ + bytes, capacity_ == 0 ? 48 : 2 * capacity_);
    block_ = static_cast<char*>(std::realloc(block_, kHeader + capacity_));
    CHECK(block_ != nullptr) << "out of memory";
  }
  char* at = block_ + kHeader + size_;
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
  uint64_t size = text.size();
  Put(kind, &size, sizeof(size));
  if (size != 0) std::memcpy(Grow(size), text.data(), size);
}

void ValueBuilder::Begin(Kind kind, size_t count) {
  uint64_t wide = count;
  Put(kind, &wide, sizeof(wide));
}

Value ValueBuilder::Finish() && {
  CHECK(size_ != 0) << "no value was written";
  const char* position = block_ + kHeader;
  Node first = ReadNode(&position);
  Value value;
  switch (first.kind) {
    case Kind::kNone: return value;
    case Kind::kBool: return Value::Bool(first.bool_value);
    case Kind::kInt: return Value::Int(first.int_value);
    case Kind::kFloat: return Value::Float(first.real);
    default: break;
  }
  uint64_t size = size_;
  std::memcpy(block_, &size, kHeader);
  // What doubling left over goes back when it is worth a realloc.
  if (capacity_ - size_ > 4096) block_ = static_cast<char*>(std::realloc(block_, kHeader + size_));
  value.kind_ = first.kind;
  value.u_.block_ = std::exchange(block_, nullptr);
  size_ = capacity_ = 0;
  return value;
}

}  // namespace interpd::channels
