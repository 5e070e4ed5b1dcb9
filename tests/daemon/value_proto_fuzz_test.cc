// Seeded random messages: whatever bytes come, decoding ends with a value or a clear error, and a value that came in
// goes out as it was. INTERPD_FUZZ_SEED repeats a run.
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>
#include <string>

#include "absl/algorithm/container.h"
#include "absl/strings/escaping.h"
#include "channels/error.h"
#include "channels/value.h"
#include "daemon/constant_value.h"
#include "daemon/value_proto.h"

namespace interpd::daemon {
namespace {

channels::ChannelRegistry g_channels;
ChannelNames g_names{g_channels, ""};

constexpr int kRounds = 20'000;

class ValueProtoFuzzTest : public testing::Test {
 protected:
  ValueProtoFuzzTest() {
    const char* seed = std::getenv("INTERPD_FUZZ_SEED");
    seed_ = seed != nullptr ? std::strtoull(seed, nullptr, 10) : std::random_device()();
    random_.seed(seed_);
    channel_ = *g_channels.OpenOrCreate({.name = "fuzz"});
    RecordProperty("seed", std::to_string(seed_));
  }

  size_t Below(size_t bound) { return std::uniform_int_distribution<size_t>(0, bound - 1)(random_); }

  std::string Bytes(size_t max) {
    std::string bytes(Below(max + 1), '\0');
    for (char& c : bytes) c = static_cast<char>(Below(256));
    return bytes;
  }

  void Fill(v1::Value* value, int depth) {
    switch (Below(depth > 0 ? 16 : 13)) {
      case 0: value->set_none(v1::NONE); break;
      case 1: value->set_bool_(Below(2) == 1); break;
      case 2: value->set_int_(static_cast<int64_t>(random_())); break;
      case 3: value->set_big_int(Bytes(20)); break;
      case 4: value->set_float_(static_cast<double>(random_()) / 7); break;
      case 5: value->mutable_complex()->set_imag(static_cast<double>(random_())); break;
      case 6: value->set_str(std::string(Below(9), 'x')); break;
      case 7: value->set_surrogate_str(Bytes(4)); break;
      case 8: value->set_bytes(Bytes(9)); break;
      case 9: break;  // no kind
      case 10: value->set_pickle(Bytes(9)); break;
      case 11: value->set_channel(Below(2) == 0 ? "channels/fuzz" : "channels/" + Bytes(3)); break;
      case 12: {
        v1::Buffer* buffer = value->mutable_buffer();
        buffer->set_data(std::string(8 * Below(4), 'x'));
        if (Below(2) == 0) buffer->set_format(Below(4) == 0 ? Bytes(2) : "d");
        for (size_t i = Below(3); i > 0; --i) buffer->add_shape(static_cast<int64_t>(Below(5)) - 1);
        break;
      }
      default:
        value->set_container(static_cast<v1::Container>(Below(7)));
        for (size_t i = Below(5); i > 0; --i) Fill(value->add_items(), depth - 1);
    }
    if (Below(50) == 0) Fill(value->add_items(), 0);  // an item where none belongs
  }

  // Decodes `value`; if that is a value, it must survive the way out and in again. `serialized` is its message.
  void Check(const v1::Value& value, const std::string& serialized) {
    absl::StatusOr<channels::Value> decoded = DecodeValue(value, "v", g_names);
    CheckConstant(value, serialized, decoded);
    if (!decoded.ok()) {
      ++refused_;
      EXPECT_EQ(channels::GetErrorInfo(decoded.status()).reason, "INVALID_VALUE") << decoded.status();
      return;
    }
    ++accepted_;
    v1::Value encoded;
    ASSERT_TRUE(EncodeValue(*decoded, g_names, &encoded).ok());
    absl::StatusOr<channels::Value> again = DecodeValue(encoded, "v", g_names);
    ASSERT_TRUE(again.ok()) << again.status();
    v1::Value twice;
    ASSERT_TRUE(EncodeValue(*again, g_names, &twice).ok());
    // As messages: a buffer is equal to itself alone.
    EXPECT_EQ(encoded.SerializeAsString(), twice.SerializeAsString());
  }

  // What decodes constants without messages comes to the same.
  void CheckConstant(const v1::Value& value, const std::string& serialized,
                     const absl::StatusOr<channels::Value>& decoded) {
    absl::StatusOr<channels::Value> constant = DecodeConstantValue(serialized, "v");
    if (decoded.ok() && IsForConstants(value)) {
      ASSERT_TRUE(constant.ok()) << constant.status() << "\n" << absl::BytesToHexString(serialized);
      EXPECT_TRUE(*constant == *decoded) << value.ShortDebugString();
      return;
    }
    ASSERT_FALSE(constant.ok()) << value.ShortDebugString();
    EXPECT_EQ(channels::GetErrorInfo(constant.status()).reason, "INVALID_VALUE") << constant.status();
  }

  static bool IsForConstants(const v1::Value& value) {
    return !value.has_channel() && !value.has_buffer() && !value.has_pickle() &&
           absl::c_all_of(value.items(), IsForConstants);
  }

  uint64_t seed_ = 0;
  channels::Ref<channels::Channel> channel_;
  std::mt19937_64 random_;
  int accepted_ = 0;
  int refused_ = 0;
};

TEST_F(ValueProtoFuzzTest, RandomTrees) {
  SCOPED_TRACE(seed_);
  for (int i = 0; i < kRounds && !HasFailure(); ++i) {
    v1::Value value;
    Fill(&value, 6);
    Check(value, value.SerializeAsString());
  }
  // The run has seen both ways.
  EXPECT_GT(accepted_, kRounds / 20);
  EXPECT_GT(refused_, kRounds / 20);
}

TEST_F(ValueProtoFuzzTest, DamagedBytes) {
  SCOPED_TRACE(seed_);
  int parsed = 0;
  for (int i = 0; i < kRounds && !HasFailure(); ++i) {
    v1::Value value;
    Fill(&value, 6);
    std::string bytes = value.SerializeAsString();
    for (size_t damage = 1 + Below(4); damage > 0 && !bytes.empty(); --damage) {
      switch (Below(3)) {
        case 0: bytes[Below(bytes.size())] = static_cast<char>(Below(256)); break;
        case 1: bytes.resize(Below(bytes.size())); break;
        default: bytes.insert(Below(bytes.size()), Bytes(4)); break;
      }
    }
    v1::Value damaged;
    if (!damaged.ParseFromString(bytes)) continue;
    ++parsed;
    Check(damaged, bytes);
  }
  EXPECT_GT(parsed, kRounds / 20);
}

}  // namespace
}  // namespace interpd::daemon
