// Value: the one in-memory form of a shareable Python value, owned by the process and never by an interpreter.
//
// Who includes this: the codecs that turn a Value into Python objects (interp/value_codec) and into messages
// (daemon/value_proto), and whatever carries Values between threads.
//
// A Value is 16 bytes. None, bool, float and ints of 64 bits lie inside; everything else is one block of memory that
// is written once, front to back, by a ValueBuilder and moved by pointer from then on. The block is a sequence of
// nodes in pre-order: a container is followed by its elements. ValueReader walks it.
//
//   ValueBuilder builder;
//   builder.Begin(Kind::kTuple, 2);
//   builder.Int(7);
//   builder.Str("seven");
//   Value value = std::move(builder).Finish();   // (7, "seven")
//
// Thread safety: a Value may be read by many threads at once; moving and destroying need exclusive access.
#ifndef INTERPD_CHANNELS_VALUE_H_
#define INTERPD_CHANNELS_VALUE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "channels/packed.h"

namespace interpd::channels {

// Containers nested deeper than this are refused by every codec; readers may recurse to this depth.
inline constexpr int kMaxValueDepth = 1000;

enum class Kind : uint8_t {
  kNone,
  kBool,
  kInt,     // fits int64_t
  kBigInt,  // any other int: two's complement, little-endian, at least 9 bytes
  kFloat,
  kComplex,
  kAsciiStr,      // characters below 128
  kStr,           // valid UTF-8
  kSurrogateStr,  // UTF-8 in which lone surrogates stand as three bytes each ("surrogatepass")
  kBytes,
  kTuple,
  kList,
  kSet,
  kFrozenSet,
  kDict,  // key, value, key, value, ...
};

constexpr bool IsContainer(Kind kind) { return kind >= Kind::kTuple; }
constexpr bool IsText(Kind kind) { return kind >= Kind::kAsciiStr && kind <= Kind::kSurrogateStr; }

// The Python type's name: "int" for kBigInt, "str" for every kind of text.
std::string_view TypeName(Kind kind);

// One step of a ValueReader. Which fields mean something depends on `kind`.
struct Node {
  Kind kind = Kind::kNone;
  bool bool_value = false;
  int64_t int_value = 0;
  double real = 0;         // kFloat, kComplex
  double imag = 0;         // kComplex
  std::string_view bytes;  // kBigInt, text, kBytes; lives as long as the Value
  size_t count = 0;        // containers: how many nodes follow as elements; a dict's keys and values count apart
};

class Value;

// Walks the nodes of a Value in pre-order. Must not outlive the Value.
class ValueReader {
 public:
  explicit ValueReader(const Value& value);

  bool done() const { return !scalar_ && position_ == end_; }

  // The next node. Requires: !done().
  Node Next();

 private:
  const Value* scalar_ = nullptr;  // a Value without a block that was not read yet
  const char* position_ = nullptr;
  const char* end_ = nullptr;
};

// Move-only; a moved-from Value is None.
class Value {
 public:
  Value() = default;  // None
  static Value Bool(bool value);
  static Value Int(int64_t value);
  static Value Float(double value);
  static Value Str(std::string_view utf8);  // requires valid UTF-8
  static Value Bytes(std::string_view bytes);

  Value(Value&& other) noexcept { *this = std::move(other); }
  Value& operator=(Value&& other) noexcept;
  ~Value() { Reset(); }

  Kind kind() const { return kind_; }

  // Bytes of memory it holds, itself included.
  size_t memory() const { return sizeof(Value) + (block_owned() ? block_size() : 0); }

  // What packed.h wants of things that lie in rings.
  Packed Pack() const { return {static_cast<uint64_t>(u_.int_), static_cast<uint8_t>(kind_)}; }
  void Forget() { kind_ = Kind::kNone; }
  static Value Unpack(Packed packed) {
    Value value;
    value.u_.int_ = static_cast<int64_t>(packed.body);
    value.kind_ = static_cast<Kind>(packed.tag);
    return value;
  }

  // A copy with a block of its own.
  Value Clone() const;

  // Equal node by node: types count (1 is not True, 1 is not 1.0), NaN equals NaN, the order of a set counts, and
  // inside containers 0.0 is not -0.0.
  friend bool operator==(const Value& a, const Value& b);

 private:
  friend class ValueBuilder;
  friend class ValueReader;

  bool block_owned() const { return kind_ >= Kind::kBigInt && kind_ != Kind::kFloat; }
  size_t block_size() const;
  void Reset();

  // A block is its size in 8 bytes, then the nodes.
  union {
    bool bool_;
    int64_t int_;
    double float_;
    char* block_;
  } u_ = {.int_ = 0};
  Kind kind_ = Kind::kNone;
};
static_assert(sizeof(Value) == 16);

// Writes one Value front to back. Each call adds one node; after Begin(kind, count) exactly `count` nodes (with what
// is below them) must follow. Codecs keep to that.
class ValueBuilder {
 public:
  ValueBuilder() = default;
  ValueBuilder(const ValueBuilder&) = delete;
  ValueBuilder& operator=(const ValueBuilder&) = delete;
  ~ValueBuilder();

  void None();
  void Bool(bool value);
  void Int(int64_t value);
  // Two's complement, little-endian. What fits 64 bits becomes an Int.
  void BigInt(std::string_view little_endian);
  void Float(double value);
  void Complex(double real, double imag);
  // Valid UTF-8; finds out whether it is ASCII.
  void Str(std::string_view utf8);
  // Requires kind to be one of the text kinds or kBytes, and the text to be of that kind.
  void Text(Kind kind, std::string_view text);
  void Bytes(std::string_view bytes) { Text(Kind::kBytes, bytes); }
  // A container whose `count` element nodes follow (for kDict: two for each entry).
  void Begin(Kind kind, size_t count);

  // Bytes written so far: what codecs hold against a limit.
  size_t size() const { return size_; }

  // Requires: exactly one value was written.
  Value Finish() &&;

 private:
  char* Grow(size_t bytes);
  void Put(Kind kind, const void* payload, size_t size);

  char* block_ = nullptr;
  size_t size_ = 0;
  size_t capacity_ = 0;
};

}  // namespace interpd::channels

#endif  // INTERPD_CHANNELS_VALUE_H_
