// The content of a constant from its serialized form: what it becomes, and what is refused where.
#include "daemon/constant_value.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "channels/channel_registry.h"
#include "channels/error.h"
#include "channels/value.h"
#include "daemon/value_proto.h"

namespace interpd::daemon {
namespace {

channels::ChannelRegistry g_channels;
ChannelNames g_names{g_channels, ""};

v1::Value Int(int64_t number) {
  v1::Value value;
  value.set_int_(number);
  return value;
}

v1::Value Str(std::string text) {
  v1::Value value;
  value.set_str(std::move(text));
  return value;
}

v1::Value Of(v1::Container container, std::initializer_list<v1::Value> items) {
  v1::Value value;
  value.set_container(container);
  for (const v1::Value& item : items) *value.add_items() = item;
  return value;
}

// The path at which it is refused; "" when it is not.
std::string RefusedAt(const std::string& serialized) {
  absl::StatusOr<channels::Value> value = DecodeConstantValue(serialized, "data");
  if (value.ok()) return "";
  channels::ErrorInfo info = channels::GetErrorInfo(value.status());
  EXPECT_EQ(info.reason, "INVALID_VALUE");
  return info.metadata["path"];
}

std::string RefusedAt(const v1::Value& value) { return RefusedAt(value.SerializeAsString()); }

TEST(ConstantValueTest, IsWhatTheMessageIs) {
  v1::Value surrogate, big, complex, none, yes, real, bytes;
  surrogate.set_surrogate_str("a\xed\xa0\x80");
  big.set_big_int(std::string(12, '\x7f'));
  complex.mutable_complex()->set_imag(-0.5);
  none.set_none(v1::NONE);
  yes.set_bool_(true);
  real.set_float_(-1e300);
  bytes.set_bytes(std::string("\0\xff", 2));
  const v1::Value all =
      Of(v1::DICT, {Str("ascii"), Of(v1::TUPLE, {Int(0), Int(-1), Int(1), Int(INT64_MIN), Int(INT64_MAX)}),
                    Str("\xc3\xbc and more"), Of(v1::LIST, {surrogate, big, complex, none, yes, real, bytes}), Int(7),
                    Of(v1::SET, {Int(1), Str("")}), Of(v1::TUPLE, {Int(1)}), Of(v1::FROZENSET, {}),
                    Str(std::string(5000, 'x')), Of(v1::DICT, {})});
  absl::StatusOr<channels::Value> expected = DecodeValue(all, "data", g_names);
  ASSERT_TRUE(expected.ok()) << expected.status();
  absl::StatusOr<channels::Value> value = DecodeConstantValue(all.SerializeAsString(), "data");
  ASSERT_TRUE(value.ok()) << value.status();
  EXPECT_TRUE(*value == *expected);
}

TEST(ConstantValueTest, TheFieldsOfAMessageComeInAnyOrder) {
  // items before container; a field of a later version; int twice, of which the last counts.
  const std::string one = Int(1).SerializeAsString(), two = Int(2).SerializeAsString();
  std::string list = absl::StrCat("\x5a", std::string(1, static_cast<char>(one.size())), one, "\xa2\x06\x03new", "\x5a",
                                  std::string(1, static_cast<char>(one.size() + two.size())), one, two, "\x50\x01");
  absl::StatusOr<channels::Value> value = DecodeConstantValue(list, "data");
  ASSERT_TRUE(value.ok()) << value.status();
  EXPECT_TRUE(*value == *DecodeValue(Of(v1::TUPLE, {Int(1), Int(2)}), "data", g_names));
}

TEST(ConstantValueTest, WhatIsRefusedIsRefusedWhereItStands) {
  v1::Value channel, buffer, pickle;
  channel.set_channel("channels/one");
  buffer.mutable_buffer()->set_data("x");
  pickle.set_pickle("x");
  EXPECT_EQ(RefusedAt(Of(v1::LIST, {Int(1), channel})), "data[1]");
  EXPECT_EQ(RefusedAt(Of(v1::DICT, {Str("a"), Of(v1::TUPLE, {buffer})})), "data['a'][0]");
  EXPECT_EQ(RefusedAt(pickle), "data");
  EXPECT_EQ(RefusedAt(Of(v1::DICT, {Int(4), v1::Value()})), "data[4]");
  EXPECT_EQ(RefusedAt(Of(v1::DICT, {Of(v1::LIST, {}), Int(1)})), "data.keys()[0]");
  EXPECT_EQ(RefusedAt(Of(v1::SET, {Int(1), Of(v1::TUPLE, {Of(v1::DICT, {})})})), "data[1][0]");
  EXPECT_EQ(RefusedAt(Of(v1::DICT, {Int(1)})), "data");
  EXPECT_EQ(RefusedAt(Of(static_cast<v1::Container>(9), {})), "data");
  v1::Value stray = Int(1);
  *stray.add_items() = Int(2);
  EXPECT_EQ(RefusedAt(Of(v1::TUPLE, {Int(0), stray})), "data[1]");
  v1::Value deep = Int(1);
  for (int i = 0; i < kMaxWireDepth; ++i) deep = Of(v1::LIST, {deep});
  EXPECT_EQ(RefusedAt(deep), "");
  EXPECT_NE(RefusedAt(Of(v1::LIST, {deep})), "");
}

TEST(ConstantValueTest, WhatIsNoMessageIsRefused) {
  const std::string good = Of(v1::LIST, {Str("text"), Int(300)}).SerializeAsString();
  EXPECT_EQ(RefusedAt(good), "");
  for (size_t cut = 1; cut < good.size(); ++cut) {
    v1::Value message;
    if (!message.ParseFromString(good.substr(0, cut))) {
      EXPECT_NE(RefusedAt(good.substr(0, cut)), "") << cut;
    }
  }
  for (const char* bad :
       {"\x3a\x01\xff", "\x3a\x05hi", "\x07", "\x0b\x0b\x14", "\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"}) {
    EXPECT_EQ(RefusedAt(std::string(bad)), "data") << absl::CHexEscape(bad);
  }
  EXPECT_EQ(RefusedAt(std::string()), "data");
}

}  // namespace
}  // namespace interpd::daemon
