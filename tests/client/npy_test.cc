// The header of .npy files, and what an array becomes as a constant.
#include "client/npy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "client/constant_value.h"

namespace interpd::client {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string FileOf(std::string_view header, std::string_view data = "", int version = 1) {
  std::string file = absl::StrCat("\x93NUMPY", std::string(1, static_cast<char>(version)), std::string(1, '\0'));
  for (int i = 0; i < (version == 1 ? 2 : 4); ++i) file += static_cast<char>(header.size() >> (8 * i));
  return absl::StrCat(file, header, data);
}

std::string HeaderOf(std::string_view dtype, std::string_view shape) {
  return absl::StrCat("{'descr': '", dtype, "', 'fortran_order': False, 'shape': ", shape, ", }     \n");
}

std::string Refusal(const std::string& file) {
  absl::StatusOr<NpyHeader> header = ParseNpyHeader(file);
  EXPECT_EQ(header.status().code(), absl::StatusCode::kInvalidArgument) << header.status();
  return std::string(header.status().message());
}

TEST(NpyTest, ReadsWhatNumPyWrites) {
  for (int version : {1, 2, 3}) {
    const std::string text = HeaderOf("<f8", "(3, 4)");
    absl::StatusOr<NpyHeader> header = ParseNpyHeader(FileOf(text, "", version));
    ASSERT_TRUE(header.ok()) << header.status();
    EXPECT_EQ(header->dtype, "<f8");
    EXPECT_FALSE(header->fortran_order);
    EXPECT_THAT(header->shape, ElementsAre(3, 4));
    EXPECT_EQ(header->data_size, 96);
    EXPECT_EQ(header->data_offset, (version == 1 ? 10 : 12) + text.size());
  }
}

TEST(NpyTest, KnowsTheSizesOfItems) {
  struct Case {
    const char* dtype;
    const char* shape;
    size_t size;
  };
  for (const Case& one : {Case{"|b1", "()", 1}, Case{"|i1", "(5,)", 5}, Case{">u4", "(2L, 3L)", 24},
                          Case{"<c16", "(2,)", 32}, Case{"<U10", "(2,)", 80}, Case{"|S5", "(3,)", 15},
                          Case{"<M8[ns]", "(4,)", 32}, Case{"<m8", "(1, 0, 9)", 0}, Case{"|V7", "(1,)", 7},
                          Case{"=f2", "(1)", 2}, Case{"<f8", "(0, 9223372036854775807, 9223372036854775807)", 0}}) {
    absl::StatusOr<NpyHeader> header = ParseNpyHeader(FileOf(HeaderOf(one.dtype, one.shape)));
    ASSERT_TRUE(header.ok()) << one.dtype << one.shape << header.status();
    EXPECT_EQ(header->data_size, one.size) << one.dtype << one.shape;
  }
}

TEST(NpyTest, TheOrderOfKeysAndSpaceDoNotMatter) {
  absl::StatusOr<NpyHeader> header =
      ParseNpyHeader(FileOf("{\"shape\":( 2 , ),'fortran_order' :True,\n'descr':'<i4'}"));
  ASSERT_TRUE(header.ok()) << header.status();
  EXPECT_TRUE(header->fortran_order);
  EXPECT_THAT(header->shape, ElementsAre(2));
}

TEST(NpyTest, SaysWhatItRefuses) {
  EXPECT_THAT(Refusal(""), HasSubstr("begin"));
  EXPECT_THAT(Refusal("PK\x03\x04 a zip"), HasSubstr("begin"));
  EXPECT_THAT(Refusal(FileOf("", "", 4)), HasSubstr("version is 4"));
  EXPECT_THAT(Refusal(FileOf(HeaderOf("<f8", "(3,)")).substr(0, 40)), HasSubstr("cut off"));
  EXPECT_THAT(Refusal(FileOf(HeaderOf("<f8", "(3,)")).substr(0, 9)), HasSubstr("cut off"));
  EXPECT_THAT(Refusal(FileOf(HeaderOf("|O", "(3,)"))), HasSubstr("pickles"));
  EXPECT_THAT(Refusal(FileOf("{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (3,)}")),
              HasSubstr("records"));
  EXPECT_THAT(Refusal(FileOf(HeaderOf("<f8", "(9223372036854775807, 9223372036854775807)"))), HasSubstr("memory"));
  EXPECT_THAT(Refusal(FileOf(HeaderOf("<f8", "(3,)") + "x")), HasSubstr("header"));
  for (const char* dtype : {"", "f8", "<f", "<q8", "<f8x", "<f8[ns]", "<f99999999999", "<S9999999999"}) {
    EXPECT_THAT(Refusal(FileOf(HeaderOf(dtype, "(3,)"))), HasSubstr("dtype")) << dtype;
  }
  for (const char* header :
       {"", "{}", "{'descr': '<f8'}", "{'descr': '<f8', 'fortran_order': 0, 'shape': ()}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}", "{'descr': '<f8', 'fortran_order': False, 'shape'",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1 2)}",
        "{'descr': '<f8', 'descr': '<f8', 'fortran_order': False, 'shape': ()}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (), 'more': 1}"}) {
    EXPECT_THAT(Refusal(FileOf(header)), HasSubstr("header")) << header;
  }
}

// ---- as a constant
// ---------------------------------------------------------------------------------------------------

v1::Value Parsed(const absl::Cord& constant) {
  v1::Value value;
  EXPECT_TRUE(value.ParseFromString(std::string(constant)));
  return value;
}

TEST(ConstantOfTest, BytesAndValuesAreWhatTheyAre) {
  for (size_t size : {0, 1, 127, 128, 100'000}) {
    EXPECT_EQ(Parsed(ConstantOfBytes(absl::Cord(std::string(size, 'x')))).bytes(), std::string(size, 'x'));
  }
  v1::Value list;
  list.set_container(v1::LIST);
  list.add_items()->set_int_(7);
  EXPECT_EQ(Parsed(*ConstantOf(list)).SerializeAsString(), list.SerializeAsString());
}

TEST(ConstantOfTest, AnArrayIsAMapping) {
  const std::string data(16, '\x01');
  absl::StatusOr<absl::Cord> constant = ConstantOfNpy(absl::Cord(FileOf(HeaderOf("<f8", "(2, 1)"), data)));
  ASSERT_TRUE(constant.ok()) << constant.status();
  const v1::Value value = Parsed(*constant);
  EXPECT_EQ(value.container(), v1::DICT);
  ASSERT_EQ(value.items_size(), 8);
  EXPECT_EQ(value.items(0).str(), "data");
  EXPECT_EQ(value.items(1).bytes(), data);
  EXPECT_EQ(value.items(2).str(), "shape");
  EXPECT_EQ(value.items(3).container(), v1::TUPLE);
  ASSERT_EQ(value.items(3).items_size(), 2);
  EXPECT_EQ(value.items(3).items(0).int_(), 2);
  EXPECT_EQ(value.items(4).str(), "dtype");
  EXPECT_EQ(value.items(5).str(), "<f8");
  EXPECT_EQ(value.items(6).str(), "fortran_order");
  EXPECT_FALSE(value.items(7).bool_());
  EXPECT_TRUE(value.items(7).has_bool_());
}

TEST(ConstantOfTest, AnArrayWhoseDataAreNotThereIsRefused) {
  for (size_t size : {0, 15, 17}) {
    absl::Status status = ConstantOfNpy(absl::Cord(FileOf(HeaderOf("<f8", "(2,)"), std::string(size, 'x')))).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr(absl::StrCat(size, " bytes")));
  }
}

}  // namespace
}  // namespace interpd::client
