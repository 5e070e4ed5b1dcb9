// JSON text to Values and back: what the command line reads and prints.
#include "client/cli/value_json.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "client/cli/big_int.h"

namespace interpd::client {
namespace {

using testing::HasSubstr;

std::string RoundTrip(std::string_view json) {
  absl::StatusOr<v1::Value> value = JsonToValue(json);
  return value.ok() ? ValueToJson(*value) : value.status().ToString();
}

std::string Repeat(std::string_view text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += text;
  return out;
}

TEST(ValueJsonTest, TextThatIsInTheFormItPrintsComesBackTheSame) {
  for (std::string_view json : {
           "null",
           "true",
           "false",
           "0",
           "-1",
           "9223372036854775807",
           "-9223372036854775808",
           "9223372036854775808",
           "18446744073709551616",
           "-9223372036854775809",
           "340282366920938463463374607431768211455",
           "1.0",
           "-0.0",
           "1e+22",
           "0.1",
           "5e-324",
           "1.7976931348623157e+308",
           "NaN",
           "Infinity",
           "-Infinity",
           R"("")",
           R"("a\"b\\c\n\u0001")",
           R"("zażółć 🐍")",
           R"("NaN")",
           R"(["\"", NaN])",
           "[]",
           "{}",
           "[1, [2, [3, []]], null]",
           R"({"a": 1, "b": {"c": [true]}})",
           R"({"": 0})",
           R"({"$bytes": "AP8="})",
           R"({"$complex": [1.0, -2.5]})",
           R"({"$complex": [NaN, Infinity]})",
           R"({"$set": [1, 2]})",
           R"({"$frozenset": []})",
           R"({"$dict": [[1, "one"], [null, []]]})",
           R"({"$dict": [["$bytes", 5]]})",
           R"({"$bytes": "AA==", "other": 1})",
           R"({"$channel": "jobs"})",
           R"({"$pickle": "gAVLAS4="})",
           R"({"$buffer": "AAEC"})",
           R"({"$buffer": ["AAAAAAAA8D8=", "d"]})",
           R"({"$buffer": ["AAAAAAAA8D8=", "d", [1, 1]]})",
           R"({"$buffer": ["", "B", [0, 3]]})",
           R"({"$dict": [["$channel", 5]]})",
           R"({"$unknown": 1})",
           R"([{"$set": [{"$frozenset": [1]}]}])",
       }) {
    EXPECT_EQ(RoundTrip(json), json);
  }
}

TEST(ValueJsonTest, KindsAreThoseOfPython) {
  EXPECT_TRUE(JsonToValue("1")->has_int_());
  EXPECT_TRUE(JsonToValue("9223372036854775807")->has_int_());
  EXPECT_TRUE(JsonToValue("9223372036854775808")->has_big_int());
  EXPECT_TRUE(JsonToValue("1.0")->has_float_());
  EXPECT_TRUE(JsonToValue("1e3")->has_float_());
  EXPECT_TRUE(JsonToValue("true")->has_bool_());
  EXPECT_EQ(JsonToValue("[1]")->container(), v1::LIST);
  EXPECT_EQ(JsonToValue(R"({"$tuple": [1]})")->container(), v1::TUPLE);
  EXPECT_EQ(JsonToValue(R"({"a": 1})")->container(), v1::DICT);
  EXPECT_EQ(JsonToValue(R"({"$bytes": "AP8="})")->bytes(), std::string("\0\xff", 2));
  EXPECT_TRUE(std::isnan(JsonToValue("NaN")->float_()));
}

TEST(ValueJsonTest, TuplesPrintAsArrays) { EXPECT_EQ(RoundTrip(R"({"$tuple": [1, 2]})"), "[1, 2]"); }

TEST(ValueJsonTest, LoneSurrogatesPrintAsEscapes) {
  v1::Value value;
  value.set_surrogate_str("a\xed\xa0\x80\xed\xbf\xbfz");
  EXPECT_EQ(ValueToJson(value), R"("a\ud800\udfffz")");
  // U+D7FF begins with the same byte and is no surrogate.
  value.set_surrogate_str("\xed\x9f\xbf\xed\xb0\x80");
  EXPECT_EQ(ValueToJson(value), "\"\xed\x9f\xbf\\udc00\"");
}

TEST(ValueJsonTest, BigIntBytesAreTheFewestOfTwosComplement) {
  EXPECT_EQ(BigIntFromDecimal("0"), std::string(1, '\0'));
  EXPECT_EQ(BigIntFromDecimal("127"), "\x7f");
  EXPECT_EQ(BigIntFromDecimal("128"), std::string("\x80\0", 2));
  EXPECT_EQ(BigIntFromDecimal("-1"), "\xff");
  EXPECT_EQ(BigIntFromDecimal("-128"), "\x80");
  EXPECT_EQ(BigIntFromDecimal("-129"), "\x7f\xff");
  EXPECT_EQ(BigIntFromDecimal("18446744073709551616"), std::string("\0\0\0\0\0\0\0\0\1", 9));
  EXPECT_EQ(BigIntToDecimal(""), "0");
  EXPECT_EQ(BigIntToDecimal(std::string("\0\0\0\0", 4)), "0");
  EXPECT_EQ(BigIntToDecimal("\xff\xff\xff\xff\xff\xff\xff\xff\xff"), "-1");
}

TEST(ValueJsonTest, BigIntsOfEveryLengthComeBack) {
  std::mt19937 random(20261122);
  for (int digits = 1; digits < 1500; digits += 7) {
    std::string decimal = digits % 2 == 0 ? "-" : "";
    decimal += static_cast<char>('1' + random() % 9);
    while (decimal.size() < static_cast<size_t>(digits)) decimal += static_cast<char>('0' + random() % 10);
    EXPECT_EQ(BigIntToDecimal(BigIntFromDecimal(decimal)), decimal);
    EXPECT_EQ(RoundTrip(decimal), decimal);
  }
}

TEST(ValueJsonTest, SixtyFourLevelsAreRead) {
  EXPECT_EQ(RoundTrip(Repeat("[", 64) + Repeat("]", 64)), Repeat("[", 64) + Repeat("]", 64));
  std::string dicts = Repeat(R"({"$dict": [[1, )", 64) + "0" + Repeat("]]}", 64);
  EXPECT_EQ(RoundTrip(dicts), dicts);
}

TEST(ValueJsonTest, DeeperOnesAreRefused) {
  for (const std::string& json :
       {Repeat("[", 65) + Repeat("]", 65), Repeat(R"({"a":)", 65) + "1" + Repeat("}", 65), Repeat("[", 1'000'000),
        Repeat(R"({"$set":[)", 100'000), Repeat(R"({"$dict": [[1, )", 65) + "0" + Repeat("]]}", 65)}) {
    absl::Status status = JsonToValue(json).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kOutOfRange);
    EXPECT_THAT(status.message(), HasSubstr("64 levels"));
  }
}

TEST(ValueJsonTest, WhatIsNoJsonIsRefused) {
  for (std::string_view json : {"", " ", "[1", "{", "{\"a\"}", "[1,]", "01", "+1", "1 2", "nan", "--Infinity", "'a'",
                                "\"\xff\"", "[\"\xc3\"]", "\"\\ud800\"", "tru", "{1: 2}", "\"a", "\"\\"}) {
    EXPECT_EQ(JsonToValue(json).status().code(), absl::StatusCode::kInvalidArgument) << json;
  }
  EXPECT_EQ(JsonToValue("1e999").status().code(), absl::StatusCode::kOutOfRange);
}

TEST(ValueJsonTest, ASpecialObjectWithTheWrongContentSaysWhatItNeeds) {
  for (auto [json, what] : std::initializer_list<std::pair<std::string_view, std::string_view>>{
           {R"({"$bytes": "not base64!"})", "a string in base64"},
           {R"({"$bytes": 1})", "a string in base64"},
           {R"({"$complex": [1]})", "[real, imag]"},
           {R"({"$complex": ["a", 1]})", "two numbers"},
           {R"({"$set": {}})", "an array"},
           {R"({"$dict": [[1]]})", "an array of [key, value]"},
           {R"({"$dict": [1]})", "an array of [key, value]"},
           {R"({"$number": "x"})", "NaN"},
           {R"({"$channel": 1})", "the name of a channel"},
           {R"({"$pickle": [1]})", "a string in base64"},
           {R"({"$buffer": 1})", "a string in base64"},
           {R"({"$buffer": ["AA=="]})", "[base64, format"},
           {R"({"$buffer": ["AA==", "B", 1]})", "[base64, format"},
           {R"({"$buffer": ["AA==", "B", [1.5]]})", "[base64, format"},
       }) {
    absl::Status status = JsonToValue(json).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << json;
    EXPECT_THAT(status.message(), HasSubstr(what));
    EXPECT_THAT(status.message(), HasSubstr("$dict"));  // the way out
  }
}

TEST(ArgumentTest, WordsThatAreNoJsonAreStrings) {
  for (std::string_view word : {"", "hello", "two words", "01", "1.2.3", "-x", "a[0]", "zażółć", "/etc/passwd"}) {
    absl::StatusOr<v1::Value> value = ArgumentToValue(word);
    ASSERT_TRUE(value.ok()) << value.status();
    EXPECT_EQ(value->str(), word);
  }
}

TEST(ArgumentTest, JsonIsReadAsJson) {
  EXPECT_EQ(ArgumentToValue("-5")->int_(), -5);
  EXPECT_TRUE(ArgumentToValue("null")->has_none());
  EXPECT_EQ(ArgumentToValue("\"5\"")->str(), "5");
  EXPECT_EQ(ArgumentToValue(" [1]")->container(), v1::LIST);
}

TEST(ArgumentTest, BrokenJsonIsNotTakenForAWord) {
  for (std::string_view text : {"[1", "{\"a\": }", "\"open", "  [,"}) {
    EXPECT_EQ(ArgumentToValue(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
  EXPECT_EQ(ArgumentToValue("caf\xe9").status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(ValueJsonTest, RandomTextNeverCrashesAndWhatIsReadPrintsStably) {
  std::mt19937 random(314);
  const std::string_view alphabet = "[]{}:,\"\\$0123456789.-+eE truefalsnNI\xc3\xa9\xff";
  int read = 0;
  for (int round = 0; round < 200'000; ++round) {
    std::string text;
    for (size_t length = random() % 12; text.size() < length;) text += alphabet[random() % alphabet.size()];
    absl::StatusOr<v1::Value> value = JsonToValue(text);
    if (!value.ok()) continue;
    ++read;
    std::string printed = ValueToJson(*value);
    EXPECT_EQ(RoundTrip(printed), printed) << text;
  }
  EXPECT_GT(read, 1000);
}

}  // namespace
}  // namespace interpd::client
