#include "daemon/constant_value.h"

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "daemon/utf8.h"
#include "daemon/value_problem.h"
#include "interpd/v1/value.pb.h"

namespace interpd::daemon {
namespace {

using channels::Kind;
using channels::ValueBuilder;

// ---- protobuf's wire format -----------------------------------------------------------------------------------------

enum WireType : uint32_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kBeginGroup = 3, kEndGroup = 4, kFixed32 = 5 };

constexpr int kMaxGroupDepth = 100;  // of what is not known and skipped

struct Field {
  uint32_t number = 0;
  uint32_t type = 0;
  uint64_t number_value = 0;  // kVarint, kFixed64
  std::string_view bytes;     // kBytes
};

// Reads fields off the front of a message. A method that returns false has met what is no message.
class WireReader {
 public:
  explicit WireReader(std::string_view message) : at_(message.data()), end_(at_ + message.size()) {}

  bool done() const { return at_ == end_; }

  bool Read(Field* field, int depth = 0) {
    constexpr std::ptrdiff_t kMaxTagBytes = 5;  // whose bits above 32 do not count, as in protobuf
    const char* const begin = at_;
    uint64_t varint = 0;
    if (!ReadVarint(&varint) || at_ - begin > kMaxTagBytes) return false;
    const auto tag = static_cast<uint32_t>(varint);
    field->number = tag >> 3;
    field->type = tag & 7;
    if (field->number == 0) return false;
    switch (field->type) {
      case kVarint: return ReadVarint(&field->number_value);
      case kFixed64: return ReadFixed(&field->number_value);
      case kFixed32: {
        uint32_t ignored = 0;
        return ReadFixed(&ignored);
      }
      case kBytes: {
        uint64_t size = 0;
        if (!ReadVarint(&size) || size > static_cast<size_t>(end_ - at_)) return false;
        field->bytes = {at_, static_cast<size_t>(size)};
        at_ += size;
        return true;
      }
      case kBeginGroup: return depth < kMaxGroupDepth && SkipGroup(field->number, depth);
      default: return field->type == kEndGroup && depth > 0;
    }
  }

 private:
  bool ReadVarint(uint64_t* value) {
    uint64_t result = 0;
    for (int shift = 0; shift < 70 && at_ != end_; shift += 7) {
      const auto byte = static_cast<unsigned char>(*at_++);
      result |= uint64_t{byte & 0x7fu} << shift;  // at a shift of 63 all but one bit is lost, as in protobuf
      if (byte < 0x80) {
        *value = result;
        return true;
      }
    }
    return false;
  }

  template <typename T>
  bool ReadFixed(T* value) {
    static_assert(std::endian::native == std::endian::little);
    if (static_cast<size_t>(end_ - at_) < sizeof(T)) return false;
    std::memcpy(value, at_, sizeof(T));
    at_ += sizeof(T);
    return true;
  }

  bool SkipGroup(uint32_t number, int depth) {
    Field field;
    while (!done() && Read(&field, depth + 1)) {
      if (field.type == kEndGroup) return field.number == number;
    }
    return false;
  }

  const char* at_;
  const char* end_;
};

// ---- interpd.v1.Value -----------------------------------------------------------------------------------------------

// The wire type that a field of the message has; what comes with another is not known, and skipped.
std::optional<uint32_t> TypeOf(uint32_t field_number) {
  switch (field_number) {
    case v1::Value::kNoneFieldNumber:
    case v1::Value::kBoolFieldNumber:
    case v1::Value::kIntFieldNumber:
    case v1::Value::kContainerFieldNumber: return kVarint;
    case v1::Value::kFloatFieldNumber: return kFixed64;
    case v1::Value::kBigIntFieldNumber:
    case v1::Value::kComplexFieldNumber:
    case v1::Value::kStrFieldNumber:
    case v1::Value::kSurrogateStrFieldNumber:
    case v1::Value::kBytesFieldNumber:
    case v1::Value::kItemsFieldNumber:
    case v1::Value::kChannelFieldNumber:
    case v1::Value::kBufferFieldNumber:
    case v1::Value::kPickleFieldNumber: return kBytes;
    default: return std::nullopt;
  }
}

// Whether the text is valid UTF-8 without surrogates.
bool IsUtf8(std::string_view text) {
  // Most text is ASCII; eight characters at a time.
  size_t ascii = 0;
  for (uint64_t word = 0; text.size() - ascii >= sizeof(word); ascii += sizeof(word)) {
    std::memcpy(&word, text.data() + ascii, sizeof(word));
    if ((word & 0x8080808080808080u) != 0) break;
  }
  text.remove_prefix(ascii);
  return ValidUtf8Prefix(text, Surrogates::kRefuse) == text.size();
}

// One Value, looked through once: what it is, and how many items it has.
struct Looked {
  Field kind;  // number 0: none
  size_t items = 0;
};

// For the rare places that need a message.
bool ParseSmall(std::string_view message, v1::Value* value) {
  constexpr size_t kSmall = size_t{64} << 20;
  return message.size() <= kSmall && value->ParseFromArray(message.data(), static_cast<int>(message.size()));
}

Problem Malformed() { return {"", "is no serialized interpd.v1.Value", ""}; }

Problem NotInAConstant(std::string what, std::string type) {
  return {"", absl::StrCat(what, " cannot be in a constant"), std::move(type)};
}

class Decoder {
 public:
  Outcome Decode(std::string_view message, int depth, MustHash must_hash);
  channels::Value Finish() && { return std::move(builder_).Finish(); }

 private:
  // False: it is malformed.
  static bool Look(std::string_view message, Looked* looked);
  Outcome DecodeContainer(std::string_view message, const Looked& looked, int depth, MustHash must_hash);
  Outcome DecodeComplex(std::string_view message);
  Outcome DecodeSurrogateStr(std::string_view text);

  ValueBuilder builder_;
};

bool Decoder::Look(std::string_view message, Looked* looked) {
  for (WireReader reader(message); !reader.done();) {
    Field field;
    if (!reader.Read(&field)) return false;
    const std::optional<uint32_t> type = TypeOf(field.number);
    if (!type || *type != field.type) continue;
    if (field.number == v1::Value::kItemsFieldNumber) {
      ++looked->items;
      continue;
    }
    const bool text = field.number == v1::Value::kStrFieldNumber || field.number == v1::Value::kChannelFieldNumber;
    if (text && !IsUtf8(field.bytes)) return false;
    looked->kind = field;  // the last one counts
  }
  return true;
}

Outcome Decoder::Decode(std::string_view message, int depth, MustHash must_hash) {
  Looked looked;
  if (!Look(message, &looked)) return Malformed();
  const Field& kind = looked.kind;
  if (kind.number != v1::Value::kContainerFieldNumber && looked.items != 0) {
    return Problem{"", "has items but is no container", ""};
  }
  switch (kind.number) {
    case v1::Value::kNoneFieldNumber: builder_.None(); break;
    case v1::Value::kBoolFieldNumber: builder_.Bool(kind.number_value != 0); break;
    case v1::Value::kIntFieldNumber: {
      const uint64_t zigzag = kind.number_value;
      builder_.Int(static_cast<int64_t>((zigzag >> 1) ^ (~(zigzag & 1) + 1)));
      break;
    }
    case v1::Value::kBigIntFieldNumber: builder_.BigInt(kind.bytes); break;
    case v1::Value::kFloatFieldNumber: builder_.Float(std::bit_cast<double>(kind.number_value)); break;
    case v1::Value::kComplexFieldNumber: return DecodeComplex(message);
    case v1::Value::kStrFieldNumber: builder_.Str(kind.bytes); break;
    case v1::Value::kSurrogateStrFieldNumber: return DecodeSurrogateStr(kind.bytes);
    case v1::Value::kBytesFieldNumber: builder_.Bytes(kind.bytes); break;
    case v1::Value::kContainerFieldNumber: return DecodeContainer(message, looked, depth, must_hash);
    case v1::Value::kChannelFieldNumber: return NotInAConstant("a channel", "interpd.Channel");
    case v1::Value::kBufferFieldNumber: return NotInAConstant("a memoryview", "memoryview");
    case v1::Value::kPickleFieldNumber: return NotInAConstant("what travels pickled", "");
    default: return Problem{"", "has no kind; None is `none`", ""};
  }
  return std::nullopt;
}

Outcome Decoder::DecodeComplex(std::string_view message) {
  // Merged from all that the message holds of it: protobuf's work.
  v1::Value value;
  if (!ParseSmall(message, &value)) return Malformed();
  builder_.Complex(value.complex().real(), value.complex().imag());
  return std::nullopt;
}

Outcome Decoder::DecodeSurrogateStr(std::string_view text) {
  const size_t valid = ValidUtf8Prefix(text, Surrogates::kAllow);
  if (valid != text.size()) return Problem{"", absl::StrCat("byte ", valid, " is no UTF-8"), "str"};
  if (IsUtf8(text)) {
    builder_.Str(text);
  } else {
    builder_.Text(Kind::kSurrogateStr, text);
  }
  return std::nullopt;
}

Outcome Decoder::DecodeContainer(std::string_view message, const Looked& looked, int depth, MustHash must_hash) {
  const auto container = static_cast<v1::Container>(static_cast<int>(looked.kind.number_value));
  if (Outcome problem = CheckContainer(container, looked.items, depth, must_hash)) return problem;
  const Kind kind = *ContainerKind(container);
  builder_.Begin(kind, looked.items);
  const bool set = kind == Kind::kSet || kind == Kind::kFrozenSet;
  const MustHash elements_must_hash = set ? MustHash::kYes : must_hash;
  size_t index = 0;
  std::string_view before;  // the item before
  for (WireReader reader(message); !reader.done();) {
    Field field;
    reader.Read(&field);  // well-formed: Look has read it
    if (field.number != v1::Value::kItemsFieldNumber || field.type != kBytes) continue;
    const bool is_key = kind == Kind::kDict && index % 2 == 0;
    Outcome problem = Decode(field.bytes, depth + 1, is_key ? MustHash::kYes : elements_must_hash);
    if (problem) {
      v1::Value key;
      if (!ParseSmall(before, &key)) key.Clear();  // the path then says its place
      return WithinContainer(kind, index, &key, *std::move(problem));
    }
    before = field.bytes;
    ++index;
  }
  return std::nullopt;
}

}  // namespace

absl::StatusOr<channels::Value> DecodeConstantValue(std::string_view serialized, std::string_view field) {
  Decoder decoder;
  if (Outcome problem = decoder.Decode(serialized, 0, MustHash::kNo)) return InvalidValue(field, *problem);
  return std::move(decoder).Finish();
}

}  // namespace interpd::daemon
