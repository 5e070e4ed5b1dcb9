#include "channels/value.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

namespace interpd::channels {
namespace {

std::vector<Kind> Kinds(const Value& value) {
  std::vector<Kind> kinds;
  ValueReader reader(value);
  while (!reader.done()) kinds.push_back(reader.Next().kind);
  return kinds;
}

TEST(ValueTest, ScalarsLieInside) {
  EXPECT_EQ(Value().kind(), Kind::kNone);
  EXPECT_EQ(Value::Int(-5).memory(), sizeof(Value));
  EXPECT_EQ(ValueReader(Value::Int(-5)).Next().int_value, -5);
  EXPECT_EQ(ValueReader(Value::Float(0.5)).Next().real, 0.5);
  EXPECT_TRUE(ValueReader(Value::Bool(true)).Next().bool_value);
  EXPECT_GT(Value::Str("").memory(), sizeof(Value));
}

TEST(ValueTest, ABuilderWithOneScalarMakesNoBlock) {
  ValueBuilder builder;
  builder.Float(2.5);
  EXPECT_EQ(std::move(builder).Finish(), Value::Float(2.5));
}

TEST(ValueTest, NodesComeBackInOrder) {
  ValueBuilder builder;
  builder.Begin(Kind::kList, 3);
  builder.Begin(Kind::kDict, 2);
  builder.Str("k");
  builder.Complex(1, -2);
  builder.Bytes(std::string("\0\1", 2));
  builder.None();
  Value value = std::move(builder).Finish();
  ValueReader reader(value);
  Node node = reader.Next();
  EXPECT_EQ(node.kind, Kind::kList);
  EXPECT_EQ(node.count, 3u);
  node = reader.Next();
  EXPECT_EQ(node.kind, Kind::kDict);
  EXPECT_EQ(node.count, 2u);
  EXPECT_EQ(reader.Next().bytes, "k");
  node = reader.Next();
  EXPECT_EQ(node.real, 1);
  EXPECT_EQ(node.imag, -2);
  EXPECT_EQ(reader.Next().bytes, std::string_view("\0\1", 2));
  EXPECT_EQ(reader.Next().kind, Kind::kNone);
  EXPECT_TRUE(reader.done());
}

TEST(ValueTest, TextKinds) {
  EXPECT_EQ(Value::Str("plain, and longer than eight").kind(), Kind::kAsciiStr);
  EXPECT_EQ(Value::Str("at the very end \xc3\xa9").kind(), Kind::kStr);
  EXPECT_EQ(Value::Str("\xc3\xa9 and then plain").kind(), Kind::kStr);
}

TEST(ValueTest, BigIntsAreAsShortAsTheyCanBe) {
  auto big = [](std::string_view bytes) {
    ValueBuilder builder;
    builder.BigInt(bytes);
    return std::move(builder).Finish();
  };
  EXPECT_EQ(big(std::string("\x05\0\0\0\0\0\0\0\0\0\0", 11)), Value::Int(5));
  EXPECT_EQ(big("\xff\xff\xff"), Value::Int(-1));
  EXPECT_EQ(big(std::string(7, '\0') + "\x80"), Value::Int(std::numeric_limits<int64_t>::min()));
  // 2**63 does not fit.
  Value over = big(std::string(7, '\0') + std::string("\x80\0", 2));
  EXPECT_EQ(over.kind(), Kind::kBigInt);
  EXPECT_EQ(ValueReader(over).Next().bytes.size(), 9u);
  EXPECT_EQ(big(std::string(7, '\0') + std::string("\x80\0\0\0", 4)), over);
  EXPECT_EQ(big(""), Value::Int(0));
}

TEST(ValueTest, MoveAndClone) {
  Value one = Value::Str("text");
  Value copy = one.Clone();
  Value other = std::move(one);
  EXPECT_EQ(one.kind(), Kind::kNone);  // NOLINT(bugprone-use-after-move): that is what is promised
  EXPECT_EQ(other, copy);
  other = Value::Int(1);
  EXPECT_EQ(copy, Value::Str("text"));
  Value& same = copy;
  copy = std::move(same);
  EXPECT_EQ(copy, Value::Str("text"));
}

TEST(ValueTest, Equality) {
  EXPECT_NE(Value::Int(1), Value::Bool(true));
  EXPECT_NE(Value::Int(1), Value::Float(1));
  EXPECT_EQ(Value::Float(0.0), Value::Float(-0.0));
  double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(Value::Float(nan), Value::Float(nan));
  EXPECT_NE(Value::Str("a"), Value::Bytes("a"));
}

TEST(ValueTest, ManyNodes) {
  ValueBuilder builder;
  constexpr int kCount = 100000;
  builder.Begin(Kind::kTuple, kCount);
  for (int i = 0; i < kCount; ++i) builder.Int(i);
  Value value = std::move(builder).Finish();
  EXPECT_EQ(Kinds(value).size(), kCount + 1u);
  EXPECT_LT(value.memory(), 9u * kCount + 5000);
}

TEST(ValueTest, AnUnfinishedBuilderGivesItsMemoryBack) {
  // Seen by the leak checker of the ASan run.
  ValueBuilder builder;
  builder.Str(std::string(10000, 'x'));
}

}  // namespace
}  // namespace interpd::channels
