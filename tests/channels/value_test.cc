#include "channels/value.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "channels/block_memory.h"

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

TEST(ValueTest, UcsTextAsUtf8) {
  auto utf8 = [](Kind kind, const auto& text) {
    Value value = Value::Text(kind, {reinterpret_cast<const char*>(text), sizeof(text) - CharacterSize(kind)});
    std::string result;
    Kind result_kind = AppendUtf8(ValueReader(value).Next(), &result);
    return std::pair(result_kind, result);
  };
  EXPECT_EQ(utf8(Kind::kUcs1Str, "a\xe9"), std::pair(Kind::kStr, std::string("a\xc3\xa9")));
  EXPECT_EQ(utf8(Kind::kUcs2Str, u"a\u00e9\u20ac"), std::pair(Kind::kStr, std::string("a\xc3\xa9\xe2\x82\xac")));
  EXPECT_EQ(utf8(Kind::kUcs4Str, U"\u20ac\U0001f40d"),
            std::pair(Kind::kStr, std::string("\xe2\x82\xac\xf0\x9f\x90\x8d")));
  constexpr char16_t kLone[] = {0xd800, 'x', 0};
  EXPECT_EQ(utf8(Kind::kUcs2Str, kLone), std::pair(Kind::kSurrogateStr, std::string("\xed\xa0\x80x")));
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

TEST(ValueTest, MoveAndShare) {
  Value one = Value::Str("text");
  Value copy = one.Share();
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

// ---- what a Value refers to ---------------------------------------------------------------------------------------

class Thing : public Shared {};

TEST(ValueTest, ReferencesAreCountedHoweverAValueEnds) {
  const int64_t before = Shared::live_count();
  Ref<Thing> thing = MakeRef<Thing>();
  {
    Value lone = Value::Channel(thing);
    EXPECT_EQ(lone.memory(), sizeof(Value));
    EXPECT_EQ(ValueReader(lone).Next().shared, thing.get());
    Value shared = lone.Share();
    EXPECT_EQ(lone, shared);
    EXPECT_NE(lone, Value::Channel(MakeRef<Thing>()));
    EXPECT_NE(lone, Value::Buffer(thing));
    ValueBuilder builder;
    builder.Begin(Kind::kDict, 4);
    builder.Str("a");
    builder.Channel(thing);
    builder.Str("b");
    builder.Begin(Kind::kList, 1);
    builder.Buffer(thing);
    Value nested = std::move(builder).Finish();
    Value again = nested.Share();
    nested = Value();
    EXPECT_FALSE(thing->IsOnlyOwner());
    ValueBuilder unfinished;
    unfinished.Begin(Kind::kList, 2);
    unfinished.Channel(thing);
    ValueBuilder scalar;
    scalar.Channel(thing);
    EXPECT_EQ(std::move(scalar).Finish(), lone);
  }
  EXPECT_TRUE(thing->IsOnlyOwner());
  thing = nullptr;
  EXPECT_EQ(Shared::live_count(), before);
}

class KnownContent : public channels::ConstantRef {
 public:
  bool Expand(size_t, Value* value) const override { return *value = Value::Int(7), true; }
};

TEST(ValueTest, ConstantsAreReferences) {
  const int64_t before = Shared::live_count();
  {
    Ref<channels::ConstantRef> constant = MakeRef<KnownContent>();
    Value lone = Value::Constant(constant);
    EXPECT_EQ(lone.memory(), sizeof(Value));
    EXPECT_EQ(lone, lone.Share());
    ValueBuilder builder;
    builder.Begin(Kind::kTuple, 2);
    builder.Constant(constant);
    builder.Str("after");
    Value nested = std::move(builder).Finish();
    EXPECT_EQ(Kinds(nested), (std::vector{Kind::kTuple, Kind::kConstant, Kind::kAsciiStr}));
    ValueBuilder scalar;
    scalar.Constant(constant);
    EXPECT_EQ(std::move(scalar).Finish(), lone);
    constant = nullptr;
    Value content;
    EXPECT_TRUE(static_cast<channels::ConstantRef*>(ValueReader(lone).Next().shared)->Expand(100, &content));
    EXPECT_EQ(content, Value::Int(7));
  }
  EXPECT_EQ(Shared::live_count(), before);
}

// Bytes of a tuple ("short", LONG, LONG, 5).
Value WithLongTexts(std::string_view text) {
  ValueBuilder builder;
  builder.Begin(Kind::kTuple, 4);
  builder.Str("short");
  builder.Bytes(text);
  builder.Text(Kind::kAsciiStr, text);
  builder.Int(5);
  return std::move(builder).Finish();
}

TEST(ValueTest, LongTextsLieApart) {
  const std::string text(100'000, 'x');
  Value value = WithLongTexts(text);
  EXPECT_EQ(value, WithLongTexts(text));
  EXPECT_NE(value, WithLongTexts(text + "y"));
  EXPECT_GT(value.memory(), 2 * text.size());
  Value shared = value.Share();
  for (const Value* each : {&value, &shared}) {
    ValueReader reader(*each);
    EXPECT_EQ(reader.Next().count, 4u);
    EXPECT_EQ(reader.Next().bytes, "short");
    Node bytes = reader.Next();
    EXPECT_EQ(bytes.kind, Kind::kBytes);
    EXPECT_EQ(bytes.bytes, text);
    EXPECT_EQ(reader.Next().bytes, text);
    EXPECT_EQ(reader.Next().int_value, 5);
    EXPECT_TRUE(reader.done());
  }
}

TEST(ValueTest, TheOnlyOwnerTakesTextsOut) {
  Value bytes = Value::Bytes("some bytes");
  Value shared = bytes.Share();
  EXPECT_EQ(bytes.ReleaseText(), nullptr);
  shared = Value();
  char* memory = bytes.ReleaseText();
  ASSERT_NE(memory, nullptr);
  EXPECT_EQ(bytes.kind(), Kind::kNone);
  EXPECT_STREQ(memory + Value::TextOffset(Kind::kBytes), "some bytes");
  FreeBlock(memory);
  EXPECT_EQ(Value::Int(1).ReleaseText(), nullptr);

  const std::string text(100'000, 'x');
  Value value = WithLongTexts(text);
  {
    ValueConsumer consumer(std::move(value));
    consumer.Next();
    EXPECT_EQ(consumer.ReleaseText(consumer.Next()), nullptr);  // short: not apart
    char* taken = consumer.ReleaseText(consumer.Next());
    ASSERT_NE(taken, nullptr);
    EXPECT_EQ(taken + Value::TextOffset(Kind::kBytes), text);
    FreeBlock(taken);
    EXPECT_EQ(consumer.Next().bytes, text);  // not taken: the Value frees it
    EXPECT_EQ(consumer.Next().int_value, 5);
    EXPECT_TRUE(consumer.done());
  }
  value = WithLongTexts(text);
  Value other = value.Share();
  ValueConsumer consumer(std::move(value));
  consumer.Next();
  consumer.Next();
  EXPECT_EQ(consumer.ReleaseText(consumer.Next()), nullptr);  // shared
  EXPECT_EQ(other, WithLongTexts(text));
}

TEST(ValueTest, SharedAndDroppedByManyThreads) {
  Ref<Thing> thing = MakeRef<Thing>();
  for (int round = 0; round < 200; ++round) {
    ValueBuilder builder;
    builder.Begin(Kind::kTuple, 2);
    builder.Channel(thing);
    builder.Bytes(std::string(5000, 'b'));
    Value value = std::move(builder).Finish();
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([mine = value.Share()] {
        for (int j = 0; j < 50; ++j) {
          Value copy = mine.Share();
          ASSERT_EQ(ValueReader(copy).Next().count, 2u);
        }
      });
    }
    value = Value();
    for (std::thread& thread : threads) thread.join();
    threads.clear();
    ASSERT_TRUE(thing->IsOnlyOwner());
  }
}

TEST(ValueTest, AnUnfinishedBuilderGivesItsMemoryBack) {
  // Seen by the leak checker of the ASan run.
  ValueBuilder builder;
  builder.Begin(Kind::kTuple, 3);
  builder.Str(std::string(1000, 'x'));
  builder.Str(std::string(10000, 'x'));
}

}  // namespace
}  // namespace interpd::channels
