// Seeded random headers of .npy files: whatever bytes come, parsing ends with a header that holds together or an error.
// INTERPD_FUZZ_SEED repeats a run.
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "client/constant_value.h"
#include "client/npy.h"

namespace interpd::client {
namespace {

constexpr int kRounds = 200'000;

class NpyFuzzTest : public testing::Test {
 protected:
  NpyFuzzTest() {
    const char* seed = std::getenv("INTERPD_FUZZ_SEED");
    seed_ = seed != nullptr ? std::strtoull(seed, nullptr, 10) : std::random_device()();
    random_.seed(seed_);
    RecordProperty("seed", std::to_string(seed_));
  }

  size_t Below(size_t bound) { return std::uniform_int_distribution<size_t>(0, bound - 1)(random_); }

  template <size_t N>
  const char* OneOf(const char* const (&choices)[N]) {
    return choices[Below(N)];
  }

  std::string Shape() {
    std::string shape = "(";
    for (size_t i = Below(5); i > 0; --i) absl::StrAppend(&shape, random_() >> Below(64), OneOf({",", ", ", "L,"}));
    return shape + OneOf({")", ")", ")", "1)", "]", ""});
  }

  // A file that is right, or nearly.
  std::string File() {
    const std::string dtype =
        absl::StrCat(OneOf({"<", ">", "|", "=", ""}), OneOf({"f", "i", "u", "U", "S", "M", "O", "?"}),
                     OneOf({"8", "4", "16", "", "99999999999"}), OneOf({"", "", "", "[ns]"}));
    std::string header = absl::StrCat("{'descr': '", dtype, "', 'fortran_order': ", OneOf({"True", "False", "0"}),
                                      ", 'shape': ", Shape(), OneOf({", }", "}", ""}), std::string(Below(9), ' '));
    const size_t version = Below(20) == 0 ? Below(6) : 1 + Below(3);
    std::string file = absl::StrCat("\x93NUMPY", std::string(1, static_cast<char>(version)), std::string(1, '\0'));
    const size_t length = header.size() + (Below(20) == 0 ? Below(100) : 0);
    for (size_t i = 0; i < (version == 1 ? 2 : 4); ++i) file += static_cast<char>(length >> (8 * i));
    return absl::StrCat(file, header, std::string(Below(20), '\0'));
  }

  uint64_t seed_ = 0;
  std::mt19937_64 random_;
};

TEST_F(NpyFuzzTest, DamagedFiles) {
  SCOPED_TRACE(seed_);
  int accepted = 0;
  for (int i = 0; i < kRounds && !HasFailure(); ++i) {
    std::string file = File();
    for (size_t damage = Below(4); damage > 0 && !file.empty(); --damage) {
      switch (Below(3)) {
        case 0: file[Below(file.size())] = static_cast<char>(Below(256)); break;
        case 1: file.resize(Below(file.size())); break;
        default: file.insert(Below(file.size()), 1, static_cast<char>(Below(256))); break;
      }
    }
    absl::StatusOr<NpyHeader> header = ParseNpyHeader(file);
    if (!header.ok()) {
      ASSERT_EQ(header.status().code(), absl::StatusCode::kInvalidArgument) << header.status();
      continue;
    }
    ++accepted;
    EXPECT_LE(header->data_offset, file.size());
    for (int64_t count : header->shape) EXPECT_GE(count, 0);
    // With the data that it says, and only with them, it is a constant.
    constexpr size_t kLarge = 4096;
    if (header->data_size <= kLarge) {
      file.resize(header->data_offset + header->data_size);
      EXPECT_TRUE(ConstantOfNpy(absl::Cord(file)).ok());
      EXPECT_FALSE(ConstantOfNpy(absl::Cord(file + "x")).ok());
    }
  }
  // The run has seen both ways.
  EXPECT_GT(accepted, kRounds / 200);
  EXPECT_LT(accepted, kRounds);
}

}  // namespace
}  // namespace interpd::client
