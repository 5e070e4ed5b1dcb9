#include "tests/fuzz/random_value.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <string_view>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace interpd::fuzz {
namespace {

using channels::Kind;
using channels::Node;
using channels::Value;
using channels::ValueBuilder;
using channels::ValueReader;

class Generator {
 public:
  Generator(std::mt19937_64& random, ValueBuilder& builder) : random_(random), builder_(builder) {}

  void Any(int depth) {
    switch (Below(depth > 0 ? 15 : 10)) {
      case 0: return builder_.None();
      case 1: return builder_.Bool(Below(2) == 0);
      case 2: return builder_.Int(RandomInt());
      case 3: return RandomBigInt();
      case 4: return builder_.Float(RandomDouble());
      case 5: return builder_.Complex(RandomDouble(), RandomDouble());
      case 6: return builder_.Text(Kind::kAsciiStr, RandomText(0x7F));
      case 7: return builder_.Str(RandomText(0x10FFFF));
      case 8:
        return builder_.Text(Kind::kSurrogateStr,
                             absl::StrCat(RandomText(0x10FFFF), "\xED\xB0\x80", RandomText(0x7FF)));
      case 9: return builder_.Bytes(RandomBytes());
      case 10: return Sequence(Kind::kTuple, depth);
      case 11: return Sequence(Kind::kList, depth);
      case 12: return Set(Kind::kSet, depth);
      case 13: return Set(Kind::kFrozenSet, depth);
      case 14: return Dict(depth);
    }
  }

 private:
  uint64_t Below(uint64_t limit) { return random_() % limit; }

  // Mostly small, at times large.
  size_t Length() { return Below(20) == 0 ? Below(2000) : Below(6); }

  int64_t RandomInt() {
    constexpr int64_t kEdges[] = {0,
                                  1,
                                  -1,
                                  255,
                                  256,
                                  -5,
                                  -6,
                                  std::numeric_limits<int64_t>::max(),
                                  std::numeric_limits<int64_t>::min(),
                                  int64_t{1} << 30,
                                  (int64_t{1} << 60) - 1};
    if (Below(3) == 0) return kEdges[Below(std::size(kEdges))];
    return static_cast<int64_t>(random_() >> Below(64));
  }

  void RandomBigInt() {
    std::string digits = RandomBytes();
    digits.resize(9 + Length());
    // Shortest form: the last byte is more than the sign of the one before.
    digits.back() = static_cast<char>(1 + Below(126));
    if (Below(2) == 0) digits.back() = static_cast<char>(~digits.back());
    builder_.BigInt(digits);
  }

  double RandomDouble() {
    constexpr double kEdges[] = {0.0,
                                 -0.0,
                                 1.5,
                                 std::numeric_limits<double>::infinity(),
                                 -std::numeric_limits<double>::infinity(),
                                 std::numeric_limits<double>::quiet_NaN(),
                                 std::numeric_limits<double>::denorm_min(),
                                 std::numeric_limits<double>::max()};
    if (Below(2) == 0) return kEdges[Below(std::size(kEdges))];
    const double number = std::bit_cast<double>(random_());
    return std::isnan(number) ? 0.25 : number;
  }

  std::string RandomBytes() {
    std::string bytes(Length(), '\0');
    for (char& byte : bytes) byte = static_cast<char>(random_());
    return bytes;
  }

  // Valid UTF-8 of characters up to `last`.
  std::string RandomText(uint32_t last) {
    std::string text;
    for (size_t i = Length(); i > 0; --i) {
      const uint32_t c = Below(4) == 0 ? Below(last + 1) : Below(0x80);
      if (c < 0x80) {
        text += static_cast<char>(c);
      } else if (c < 0x800) {
        text += {static_cast<char>(0xC0 | c >> 6), static_cast<char>(0x80 | (c & 0x3F))};
      } else if (c < 0x10000) {
        if (c >= 0xD800 && c < 0xE000) continue;  // surrogates
        text += {static_cast<char>(0xE0 | c >> 12), static_cast<char>(0x80 | (c >> 6 & 0x3F)),
                 static_cast<char>(0x80 | (c & 0x3F))};
      } else {
        text += {static_cast<char>(0xF0 | c >> 18), static_cast<char>(0x80 | (c >> 12 & 0x3F)),
                 static_cast<char>(0x80 | (c >> 6 & 0x3F)), static_cast<char>(0x80 | (c & 0x3F))};
      }
    }
    return text;
  }

  void Sequence(Kind kind, int depth) {
    const size_t count = Length();
    builder_.Begin(kind, count);
    // A long container holds scalars: breadth times depth would never end.
    for (size_t i = 0; i < count; ++i) Any(count > 6 ? 0 : depth - 1);
  }

  // Hashable, and no two of them equal, since a set would drop one: each holds a number of its own.
  void Key(int depth) {
    switch (Below(depth > 0 ? 5 : 3)) {
      case 0: return builder_.Int(1'000'000 + unique_++);
      case 1: return builder_.Str(absl::StrCat("key ", unique_++));
      case 2: return builder_.Bytes(absl::StrCat("key ", unique_++));
      case 3:
        builder_.Begin(Kind::kTuple, 2);
        Key(0);
        return builder_.None();
      case 4: return Set(Kind::kFrozenSet, depth);
    }
  }

  void Set(Kind kind, int depth) {
    const size_t count = 1 + Length();  // two empty frozensets are equal
    builder_.Begin(kind, count);
    for (size_t i = 0; i < count; ++i) Key(count > 6 ? 0 : depth - 1);
  }

  void Dict(int depth) {
    const size_t count = Length();
    builder_.Begin(Kind::kDict, 2 * count);
    for (size_t i = 0; i < count; ++i) {
      Key(depth - 1);
      Any(count > 6 ? 0 : depth - 1);
    }
  }

  std::mt19937_64& random_;
  ValueBuilder& builder_;
  int64_t unique_ = 0;
};

std::string Canonical(ValueReader& reader) {
  const Node node = reader.Next();
  std::vector<std::string> elements;
  for (size_t i = 0; i < node.count; ++i) elements.push_back(Canonical(reader));
  if (node.kind == Kind::kSet || node.kind == Kind::kFrozenSet) std::sort(elements.begin(), elements.end());
  // Bits, so that -0.0 is not 0.0 and NaN is itself.
  return absl::StrCat(static_cast<int>(node.kind), ":", node.bool_value, ",", node.int_value, ",",
                      std::bit_cast<uint64_t>(node.real), ",", std::bit_cast<uint64_t>(node.imag), ",'",
                      absl::CHexEscape(node.bytes), "'[", absl::StrJoin(elements, " "), "]");
}

}  // namespace

Value RandomValue(std::mt19937_64& random, int depth) {
  ValueBuilder builder;
  Generator(random, builder).Any(depth);
  return std::move(builder).Finish();
}

std::string Canonical(const Value& value) {
  ValueReader reader(value);
  return Canonical(reader);
}

}  // namespace interpd::fuzz
