// Values between messages and memory.
#include "daemon/value_proto.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "channels/error.h"
#include "channels/value.h"

namespace interpd::daemon {
namespace {

channels::ChannelRegistry g_channels;
ChannelNames g_names{g_channels, ""};

using channels::Kind;
using channels::Value;
using channels::ValueBuilder;
using testing::HasSubstr;

v1::Value FromText(const std::string& text) {
  v1::Value value;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &value)) << text;
  return value;
}

// What is wrong with it, as "path: what"; empty: nothing.
std::string Refusal(const v1::Value& value) {
  absl::StatusOr<Value> decoded = DecodeValue(value, "args[0]", g_names);
  if (decoded.ok()) return "";
  EXPECT_EQ(decoded.status().code(), absl::StatusCode::kInvalidArgument);
  channels::ErrorInfo info = channels::GetErrorInfo(decoded.status());
  EXPECT_EQ(info.reason, "INVALID_VALUE");
  EXPECT_EQ(info.metadata["field"], "args[0]");
  std::string message(decoded.status().message());
  EXPECT_TRUE(message.starts_with(info.metadata["path"]));
  return message;
}

v1::Value Nested(int levels) {
  v1::Value root;
  v1::Value* at = &root;
  for (int i = 0; i < levels; ++i) {
    at->set_container(v1::LIST);
    at = at->add_items();
  }
  at->set_none(v1::NONE);
  return root;
}

TEST(ValueProtoTest, RoundTrips) {
  channels::Ref<channels::Channel> known = *g_channels.OpenOrCreate({.name = "known"});
  for (const char* text : {
           "none: NONE",
           "bool: true",
           "int: -9223372036854775808",
           "big_int: '\\001\\002\\003\\004\\005\\006\\007\\010\\177'",
           "float: 1.5",
           "float: -0.0",
           "float: nan",
           "float: inf",
           "complex { real: 1 imag: -2 }",
           "str: ''",
           "str: '\\303\\244 \\342\\202\\254'",
           "surrogate_str: 'a\\355\\240\\200'",
           "bytes: '\\000\\377'",
           "container: TUPLE",
           "container: LIST items { int: 1 } items { container: DICT items { str: 'k' } items { none: NONE } }",
           "container: SET items { container: TUPLE items { int: 1 } }",
           "container: FROZENSET items { bytes: 'x' }",
           "pickle: '\\200\\005K.'",
           "buffer { }",
           "buffer { data: 'abc' }",
           "buffer { data: '01234567' format: 'd' }",
           "buffer { data: '01234567' format: 'i' shape: 2 shape: 1 }",
           "buffer { format: 'f' shape: 3 shape: 0 }",
           "container: LIST items { buffer { data: 'a' } } items { channel: 'channels/known' }",
       }) {
    SCOPED_TRACE(text);
    v1::Value before = FromText(text);
    absl::StatusOr<Value> value = DecodeValue(before, "v", g_names);
    ASSERT_TRUE(value.ok()) << value.status();
    v1::Value after;
    ASSERT_TRUE(EncodeValue(*value, g_names, &after).ok());
    EXPECT_EQ(before.SerializeAsString(), after.SerializeAsString());
  }
}

TEST(ValueProtoTest, WritesWhatFitsInTheUsualForm) {
  struct Case {
    const char* sent;
    const char* kept;
  };
  for (const Case& c : {Case{"big_int: '\\377'", "int: -1"}, Case{"big_int: ''", "int: 0"},
                        Case{"surrogate_str: 'plain'", "str: 'plain'"}}) {
    absl::StatusOr<Value> value = DecodeValue(FromText(c.sent), "v", g_names);
    ASSERT_TRUE(value.ok()) << value.status();
    v1::Value after;
    ASSERT_TRUE(EncodeValue(*value, g_names, &after).ok());
    EXPECT_EQ(after.SerializeAsString(), FromText(c.kept).SerializeAsString()) << c.sent;
  }
}

TEST(ValueProtoTest, RefusesWithThePath) {
  struct Case {
    const char* text;
    const char* message;
  };
  for (const Case& c : {
           Case{"", "args[0]: has no kind"},
           Case{"int: 1 items { int: 2 }", "args[0]: has items but is no container"},
           Case{"items { int: 2 }", "args[0]: has items but is no container"},
           Case{"container: CONTAINER_UNSPECIFIED", "args[0]: container 0 is not known"},
           Case{"container: DICT items { int: 1 }", "args[0]: a DICT holds key, value"},
           Case{"container: LIST items { int: 1 } items { }", "args[0][1]: has no kind"},
           Case{"container: DICT items { str: 'k' } items { container: LIST items { } }",
                "args[0]['k'][0]: has no kind"},
           Case{"container: DICT items { int: 7 } items { }", "args[0][7]: has no kind"},
           Case{"container: DICT items { bytes: 'b' } items { }", "args[0].values()[0]: has no kind"},
           Case{"container: DICT items { container: LIST } items { int: 1 }",
                "args[0].keys()[0]: a list cannot be hashed"},
           Case{"container: SET items { container: DICT }", "args[0][0]: a dict cannot be hashed"},
           Case{"container: FROZENSET items { container: SET }", "args[0][0]: a set cannot be hashed"},
           Case{"container: SET items { container: TUPLE items { int: 1 } items { container: LIST } }",
                "args[0][0][1]: a list cannot be hashed"},
           Case{"surrogate_str: 'ab\\377'", "args[0]: byte 2 is no UTF-8"},
           Case{"channel: 'known'", "args[0]: it must be channels/ID"},
           Case{"channel: 'channels/nobody'", "args[0]: there is no channel 'nobody'"},
           Case{"buffer { data: 'abc' format: 'z' }", "args[0]: has a format that is not one letter"},
           Case{"buffer { data: 'abc' format: 'dd' }", "args[0]: has a format that is not one letter"},
           Case{"buffer { data: 'abc' format: 'd' }", "args[0]: has 3 bytes, which are no whole items of 8"},
           Case{"buffer { data: 'abc' shape: 2 shape: 2 }", "args[0]: has a shape that does not fit its size"},
           Case{"buffer { data: 'abc' shape: -3 }", "args[0]: has a shape that does not fit its size"},
           Case{"buffer { data: 'abc' shape: 4294967296 shape: 4294967296 }", "args[0]: has a shape that does not fit"},
       }) {
    EXPECT_THAT(Refusal(FromText(c.text)), testing::StartsWith(c.message)) << c.text;
  }
}

TEST(ValueProtoTest, AcceptsWhatCanBeHashed) {
  EXPECT_EQ(Refusal(FromText("container: DICT items { container: TUPLE items { container: FROZENSET } } "
                             "items { container: LIST }")),
            "");
}

TEST(ValueProtoTest, DepthIsLimited) {
  EXPECT_EQ(Refusal(Nested(kMaxWireDepth)), "");
  EXPECT_THAT(Refusal(Nested(kMaxWireDepth + 1)), HasSubstr("[0]: nested deeper than 64 levels"));
}

TEST(ValueProtoTest, AResultThatNestsTooDeepSaysWhere) {
  auto nested = [](int levels) {
    ValueBuilder builder;
    for (int i = 0; i < levels; ++i) {
      builder.Begin(Kind::kDict, 2);
      builder.Str("k");
    }
    builder.None();
    return std::move(builder).Finish();
  };
  v1::Value out;
  EXPECT_TRUE(EncodeValue(nested(kMaxWireDepth), g_names, &out).ok());
  absl::Status status = EncodeValue(nested(kMaxWireDepth + 1), g_names, &out);
  channels::ErrorInfo info = channels::GetErrorInfo(status);
  EXPECT_EQ(info.reason, "VALUE_NOT_SHAREABLE");
  EXPECT_EQ(info.metadata["type"], "dict");
  EXPECT_THAT(info.metadata["path"], testing::StartsWith("result['k']['k']"));
}

// A constant that nests `levels` deep, or is too large.
class KnownContent : public channels::ConstantRef {
 public:
  explicit KnownContent(int levels) : levels_(levels) {}
  bool Expand(size_t max_bytes, Value* value) const override {
    if (levels_ == 0 || max_bytes != kMaxConstantBytes) return false;
    ValueBuilder builder;
    for (int i = 0; i < levels_; ++i) builder.Begin(Kind::kTuple, 1);
    builder.Str("content");
    *value = std::move(builder).Finish();
    return true;
  }

 private:
  const int levels_;
};

TEST(ValueProtoTest, OfAConstantTheContentGoes) {
  auto list_of = [](int levels) {
    ValueBuilder builder;
    builder.Begin(Kind::kList, 2);
    builder.Constant(channels::MakeRef<KnownContent>(levels));
    builder.Int(1);
    return std::move(builder).Finish();
  };
  v1::Value out;
  ASSERT_TRUE(EncodeValue(list_of(1), g_names, &out).ok());
  EXPECT_EQ(out.items(0).container(), v1::TUPLE);
  EXPECT_EQ(out.items(0).items(0).str(), "content");
  EXPECT_EQ(out.items(1).int_(), 1);
  out.Clear();
  ASSERT_TRUE(EncodeValue(Value::Constant(channels::MakeRef<KnownContent>(1)), g_names, &out).ok());
  EXPECT_EQ(out.items(0).str(), "content");

  channels::ErrorInfo info = channels::GetErrorInfo(EncodeValue(list_of(0), g_names, &out));
  EXPECT_EQ(info.reason, "VALUE_NOT_SHAREABLE");
  EXPECT_EQ(info.metadata["path"], "result[0]");
  info = channels::GetErrorInfo(EncodeValue(list_of(kMaxWireDepth), g_names, &out));
  EXPECT_EQ(info.reason, "VALUE_NOT_SHAREABLE");
  EXPECT_THAT(info.metadata["path"], testing::StartsWith("result[0][0]"));
}

TEST(ValueProtoTest, ArgumentsBecomeATupleAndADict) {
  ValueList args;
  ValueMap kwargs;
  EXPECT_EQ(*DecodeArgs(args, g_names), Value());
  EXPECT_EQ(*DecodeKwargs(kwargs, g_names), Value());

  args.Add()->set_int_(1);
  args.Add()->set_str("two");
  ValueBuilder tuple;
  tuple.Begin(Kind::kTuple, 2);
  tuple.Int(1);
  tuple.Str("two");
  EXPECT_EQ(*DecodeArgs(args, g_names), std::move(tuple).Finish());

  kwargs["b"].set_bool_(true);
  kwargs["a"].set_none(v1::NONE);
  ValueBuilder dict;
  dict.Begin(Kind::kDict, 4);
  dict.Str("a");
  dict.None();
  dict.Str("b");
  dict.Bool(true);
  EXPECT_EQ(*DecodeKwargs(kwargs, g_names), std::move(dict).Finish());

  args.Add();
  EXPECT_THAT(DecodeArgs(args, g_names).status().message(), testing::StartsWith("args[2]: has no kind"));
  kwargs["c"];
  EXPECT_THAT(DecodeKwargs(kwargs, g_names).status().message(), testing::StartsWith("kwargs['c']: has no kind"));
}

}  // namespace
}  // namespace interpd::daemon
