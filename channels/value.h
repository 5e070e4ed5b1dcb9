// Value: the one in-memory form of a shareable Python value, owned by the process and never by an interpreter.
//
// Who includes this: the codecs that turn a Value into Python objects (interp/value_codec) and into messages
// (daemon/value_proto), and whatever carries Values between threads.
//
// A Value is 16 bytes. None, bool, float and ints of 64 bits lie inside; everything else is one block of memory that
// is written once by a ValueBuilder, counted, and immutable from then on: Share() is O(1). The block is a sequence of
// nodes in pre-order: a container is followed by its elements. ValueReader walks it. Buffers and channels are not
// contained, a Value holds a reference (shared.h) to them; likewise immortal constants, which are interp/'s.
//
//   ValueBuilder builder;
//   builder.Begin(Kind::kTuple, 2);
//   builder.Int(7);
//   builder.Str("seven");
//   Value value = std::move(builder).Finish();   // (7, "seven")
//
// Thread safety: a Value may be read and shared by many threads at once; moving and destroying need exclusive access.
// Two Values that share a block are apart in this.
#ifndef INTERPD_CHANNELS_VALUE_H_
#define INTERPD_CHANNELS_VALUE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "channels/packed.h"
#include "channels/shared.h"

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
  kUcs1Str,       // as CPython has it in memory: characters below 256, 65536, any; lone surrogates as they are. The
  kUcs2Str,       //   narrowest that will do, and not ASCII alone. AppendUtf8 makes one of the three above of it
  kUcs4Str,
  kBytes,
  kPickle,    // what pickle.dumps has written; Python sees the object
  kBuffer,    // memory that is shared, not copied: a memoryview, or the buffer itself
  kChannel,   // a channel (channel.h)
  kConstant,  // an object of an immortal constant, which interpreters share (ConstantRef)
  kTuple,
  kList,
  kSet,
  kFrozenSet,
  kDict,  // key, value, key, value, ...
};

constexpr bool IsContainer(Kind kind) { return kind >= Kind::kTuple; }
constexpr bool IsText(Kind kind) { return kind >= Kind::kAsciiStr && kind <= Kind::kUcs4Str; }
constexpr bool IsUcs(Kind kind) { return kind >= Kind::kUcs1Str && kind <= Kind::kUcs4Str; }
// Bytes a character; of UTF-8, the least.
constexpr size_t CharacterSize(Kind kind) { return kind == Kind::kUcs4Str ? 4 : kind == Kind::kUcs2Str ? 2 : 1; }
// What is a run of bytes inside the Value.
constexpr bool HasBytes(Kind kind) {
  return kind == Kind::kBigInt || (kind >= Kind::kAsciiStr && kind <= Kind::kPickle);
}

// The Python type's name: "int" for kBigInt, "str" for every kind of text.
std::string_view TypeName(Kind kind);

// One step of a ValueReader. Which fields mean something depends on `kind`. Views live as long as the Value.
struct Node {
  Kind kind = Kind::kNone;
  bool bool_value = false;
  int64_t int_value = 0;
  double real = 0;         // kFloat, kComplex
  double imag = 0;         // kComplex
  std::string_view bytes;  // HasBytes
  size_t count = 0;        // containers: how many nodes follow as elements; a dict's keys and values count apart
  // kBuffer: a BufferView (buffer.h); kChannel: a Channel (channel.h); kConstant: a ConstantRef.
  Shared* shared = nullptr;
};

// Appends the text of a node of a UCS kind as UTF-8. Returns what that is then: kStr, or kSurrogateStr.
Kind AppendUtf8(const Node& node, std::string* out);

namespace internal {
struct Block;
}

class Value;

// A reference to an object that interpreters share: what a Value of kind kConstant holds. It keeps the object. Derive
// from it where such objects are known.
class ConstantRef : public Shared {
 public:
  // A copy of the content, of the other kinds alone: a read-only mapping becomes a kDict. None of it refers to the
  // constant. Any thread. False: it takes more than `max_bytes`, and `*value` is unchanged.
  virtual bool Expand(size_t max_bytes, Value* value) const = 0;
};

// Walks the nodes of a Value in pre-order. Must not outlive the Value.
class ValueReader {
 public:
  explicit ValueReader(const Value& value);

  bool done() const { return !scalar_ && position_ == end_; }

  // The next node. Requires: !done().
  Node Next();

  // Bytes of nodes that are not read yet, for showing progress; long texts count as their reference.
  size_t remaining() const { return static_cast<size_t>(end_ - position_); }

 private:
  friend class ValueConsumer;

  const Value* scalar_ = nullptr;  // a Value that is one node outside of a sequence, and was not read yet
  char* position_ = nullptr;
  char* end_ = nullptr;
};

// Move-only; a moved-from Value is None.
class Value {
 public:
  Value() = default;  // None
  static Value Bool(bool value);
  static Value Int(int64_t value) {
    Value result;
    result.u_.int_ = value;
    result.kind_ = Kind::kInt;
    return result;
  }
  static Value Float(double value);
  static Value Str(std::string_view utf8);  // requires valid UTF-8
  static Value Bytes(std::string_view bytes) { return Text(Kind::kBytes, bytes); }
  // Requires HasBytes(kind) and that `text` is of that kind; a kBigInt of the shortest form.
  static Value Text(Kind kind, std::string_view text);
  // The same, to be filled: `*space` gets the place for `size` bytes, which must be written before anything else.
  static Value TextSpace(Kind kind, size_t size, char** space);
  static Value Buffer(Ref<Shared> view) { return Referring(Kind::kBuffer, std::move(view)); }
  static Value Channel(Ref<Shared> channel) { return Referring(Kind::kChannel, std::move(channel)); }
  static Value Constant(Ref<ConstantRef> constant) { return Referring(Kind::kConstant, std::move(constant)); }

  Value(Value&& other) noexcept : u_(other.u_), kind_(std::exchange(other.kind_, Kind::kNone)) {}
  Value& operator=(Value&& other) noexcept {
    if (this != &other) {
      if (owns()) Drop();
      u_ = other.u_;
      kind_ = std::exchange(other.kind_, Kind::kNone);
    }
    return *this;
  }
  ~Value() {
    if (owns()) Drop();
  }

  Kind kind() const { return kind_; }
  // kInt alone.
  int64_t int_value() const { return u_.int_; }

  // Bytes of memory it holds, itself included; of buffers, channels and constants the reference alone.
  size_t memory() const;

  // What packed.h wants of things that lie in rings.
  Packed Pack() const { return {static_cast<uint64_t>(u_.int_), static_cast<uint8_t>(kind_)}; }
  void Forget() { kind_ = Kind::kNone; }
  static Value Unpack(Packed packed) {
    Value value;
    value.u_.int_ = static_cast<int64_t>(packed.body);
    value.kind_ = static_cast<Kind>(packed.tag);
    return value;
  }

  // The same value; a block is shared, not copied. O(1).
  Value Share() const;

  // For receivers that build an object in place. A Value that is nothing but a run of bytes (HasBytes) lies in a
  // block of block_memory.h with room in front of the bytes, for the object's header, and a NUL character behind them.
  // If nobody shares it, gives that block away: the caller gives it to FreeBlock in the end, its bytes begin at
  // TextOffset(kind), and this Value is None. Else null, and nothing has changed.
  char* ReleaseText();
  static constexpr size_t TextOffset(Kind kind) { return kind == Kind::kBytes ? 32 : IsUcs(kind) ? 56 : 40; }

  // Equal node by node: types count (1 is not True, 1 is not 1.0), NaN equals NaN, the order of a set counts, and
  // inside containers 0.0 is not -0.0. Buffers, channels and constants are equal to themselves.
  friend bool operator==(const Value& a, const Value& b);

 private:
  friend class ValueBuilder;
  friend class ValueReader;
  friend class ValueConsumer;

  static Value Referring(Kind kind, Ref<Shared> shared) {
    Value result;
    result.u_.shared_ = shared.release();
    result.kind_ = kind;
    return result;
  }
  bool owns() const { return kind_ >= Kind::kBigInt && kind_ != Kind::kFloat; }
  bool refers() const { return kind_ >= Kind::kBuffer && kind_ <= Kind::kConstant; }
  bool has_block() const { return owns() && !refers(); }
  void Drop();

  union {
    bool bool_;
    int64_t int_;
    double float_;
    internal::Block* block_;
    Shared* shared_;
  } u_ = {.int_ = 0};
  Kind kind_ = Kind::kNone;
};
static_assert(sizeof(Value) == 16);

// A reader that may take long texts out of the Value it reads, as Value::ReleaseText does. Must not outlive the Value.
class ValueConsumer {
 public:
  explicit ValueConsumer(Value&& value);

  bool done() const { return reader_.done(); }
  Node Next() { return reader_.Next(); }

  // The block of the text that Next has just returned, if it lies in one of its own that nobody shares; else null.
  // After that, the text must not be read a second time.
  char* ReleaseText(const Node& node);

 private:
  Value& value_;
  const bool only_owner_;
  ValueReader reader_;
};

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
  // As for Value::Text.
  void Text(Kind kind, std::string_view text);
  void Bytes(std::string_view bytes) { Text(Kind::kBytes, bytes); }
  void Buffer(Ref<Shared> view);
  void Channel(Ref<Shared> channel);
  void Constant(Ref<ConstantRef> constant);
  // A container whose `count` element nodes follow (for kDict: two for each entry).
  void Begin(Kind kind, size_t count);
  // A whole value, as one node with what is below it. Copies what it does not refer to.
  void Append(const Value& value);

  // Bytes written so far: what codecs hold against a limit.
  size_t size() const { return size_ + apart_size_; }

  // Requires: exactly one value was written.
  Value Finish() &&;

 private:
  char* Grow(size_t bytes);
  void Refer(Kind kind, Ref<Shared> shared);
  // The first byte of a node, which may bear a mark, and what follows it.
  template <typename Payload>
  void Put(Kind kind, const Payload& payload, uint8_t mark = 0);

  internal::Block* block_ = nullptr;
  size_t size_ = 0;
  size_t capacity_ = 0;
  size_t apart_size_ = 0;  // bytes of texts in blocks of their own
  bool refers_ = false;    // nodes own something: such a block, or a reference to a Shared
  Value lone_;             // the whole value, when it is one run of bytes
};

}  // namespace interpd::channels

#endif  // INTERPD_CHANNELS_VALUE_H_
