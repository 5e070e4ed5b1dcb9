// Batches of values between messages and memory.
#include "daemon/value_batch.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "channels/channel_registry.h"
#include "channels/error.h"
#include "channels/value.h"

namespace interpd::daemon {
namespace {

using channels::Value;
using google::protobuf::TextFormat;

class ValueBatchTest : public testing::Test {
 protected:
  static v1::ValueBatch FromText(const std::string& text) {
    v1::ValueBatch batch;
    EXPECT_TRUE(TextFormat::ParseFromString(text, &batch)) << text;
    return batch;
  }

  std::vector<Value> Decode(const v1::ValueBatch& batch) {
    std::vector<Value> values;
    absl::Status status = DecodeBatch(batch, names_, &values);
    EXPECT_TRUE(status.ok()) << status;
    return values;
  }

  channels::ChannelRegistry channels_;
  ChannelNames names_{channels_, ""};
};

constexpr char kAllKinds[] = R"(
    runs { ints { items: 1 items: -2 items: 9223372036854775807 } }
    runs { floats { items: 1.5 items: nan } }
    runs { strs { items: "" items: "\303\244" } }
    runs { bytes { items: "\000\377" } }
    runs { values { items { none: NONE } items { bool: true } items { container: LIST items { int: 1 } } } }
    runs { ints { items: 0 } })";

TEST_F(ValueBatchTest, RunsComeBackAsTheyWere) {
  std::vector<Value> values = Decode(FromText(kAllKinds));
  ASSERT_EQ(values.size(), 12u);
  EXPECT_EQ(values[2], Value::Int(9223372036854775807));
  EXPECT_EQ(values[7], Value::Bytes(std::string("\0\xff", 2)));
  EXPECT_EQ(values[8], Value());
  v1::ValueBatch batch;
  BatchWriter writer(names_, &batch);
  for (const Value& value : values) ASSERT_TRUE(writer.Append(value).ok());
  EXPECT_EQ(writer.count(), 12u);
  EXPECT_EQ(batch.SerializeAsString(), FromText(kAllKinds).SerializeAsString());
}

TEST_F(ValueBatchTest, ValuesOneByOneAreAsGood) {
  v1::ValueBatch batch = FromText(R"(runs { values { items { int: 7 } items { str: "a" } items { float: 0.5 } } })");
  std::vector<Value> values = Decode(batch);
  ASSERT_EQ(values.size(), 3u);
  EXPECT_EQ(values[0], Value::Int(7));
  EXPECT_EQ(values[1], Value::Str("a"));
  EXPECT_TRUE(Decode(v1::ValueBatch()).empty());
  EXPECT_TRUE(Decode(FromText("runs { ints { } }")).empty());
}

TEST_F(ValueBatchTest, TextAsInterpretersHaveItTravelsAsUtf8) {
  v1::ValueBatch batch;
  BatchWriter writer(names_, &batch);
  ASSERT_TRUE(writer.Append(Value::Text(channels::Kind::kUcs1Str, "\xe4")).ok());
  ASSERT_TRUE(writer.Append(Value::Text(channels::Kind::kUcs2Str, std::string("\x00\xd8", 2))).ok());
  EXPECT_EQ(batch.runs(0).strs().items(0), "\xc3\xa4");
  EXPECT_EQ(batch.runs(1).values().items(0).surrogate_str(), "\xed\xa0\x80");
}

TEST_F(ValueBatchTest, TheLastValueCanBeTakenOutAgain) {
  v1::ValueBatch batch;
  BatchWriter writer(names_, &batch);
  for (Value& value : Decode(FromText(kAllKinds))) {
    const std::string before = batch.SerializeAsString();
    const size_t count = writer.count(), bytes = writer.bytes();
    ASSERT_TRUE(writer.Append(value).ok());
    EXPECT_GT(writer.bytes(), bytes);
    writer.RemoveLast();
    EXPECT_EQ(batch.SerializeAsString(), before);
    EXPECT_EQ(writer.count(), count);
    EXPECT_EQ(writer.bytes(), bytes);
    ASSERT_TRUE(writer.Append(value).ok());
  }
}

TEST_F(ValueBatchTest, ErrorsSayWhichValueAndLeaveNothingBehind) {
  std::vector<Value> values;
  values.push_back(Value::Int(1));
  v1::ValueBatch bad = FromText("runs { ints { items: 1 items: 2 } } runs { values { items { int: 3 } items { } } }");
  absl::Status status = DecodeBatch(bad, names_, &values);
  EXPECT_EQ(channels::GetErrorInfo(status).reason, "INVALID_VALUE");
  EXPECT_EQ(channels::GetErrorInfo(status).metadata["path"], "values[3]");
  EXPECT_EQ(values.size(), 1u);
  status = DecodeBatch(FromText("runs { }"), names_, &values);
  EXPECT_EQ(channels::GetErrorInfo(status).metadata["field"], "values.runs");

  channels::ValueBuilder deep;
  for (int i = 0; i < 100; ++i) deep.Begin(channels::Kind::kList, 1);
  deep.None();
  v1::ValueBatch batch;
  BatchWriter writer(names_, &batch);
  ASSERT_TRUE(writer.Append(Value::Int(1)).ok());
  const std::string before = batch.SerializeAsString();
  EXPECT_EQ(channels::GetErrorInfo(writer.Append(std::move(deep).Finish())).reason, "VALUE_NOT_SHAREABLE");
  EXPECT_EQ(batch.SerializeAsString(), before);
  EXPECT_EQ(writer.count(), 1u);
}

}  // namespace
}  // namespace interpd::daemon
