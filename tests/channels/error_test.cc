#include "channels/error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace interpd::channels {
namespace {

using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

TEST(ErrorTest, CarriesReasonAndMetadata) {
  absl::Status status = MakeError(absl::StatusCode::kNotFound, "NO_SUCH", "there is none",
                                  {{"name", "one"}, {"empty", ""}, {"text", "a b\nc"}});
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(status.message(), "there is none");
  ErrorInfo info = GetErrorInfo(status);
  EXPECT_EQ(info.reason, "NO_SUCH");
  EXPECT_THAT(info.metadata, UnorderedElementsAre(Pair("name", "one"), Pair("empty", ""), Pair("text", "a b\nc")));
}

TEST(ErrorTest, NulInAValueShiftsNothing) {
  absl::Status status =
      MakeError(absl::StatusCode::kInternal, "R", "m", {{"a", std::string_view("x\0y", 3)}, {"b", "z"}});
  EXPECT_THAT(GetErrorInfo(status).metadata, UnorderedElementsAre(Pair("a", "x"), Pair("b", "z")));
}

TEST(ErrorTest, OtherStatusesHaveNone) {
  EXPECT_EQ(GetErrorInfo(absl::OkStatus()).reason, "");
  EXPECT_EQ(GetErrorInfo(absl::InternalError("x")).reason, "");
  EXPECT_THAT(GetErrorInfo(MakeError(absl::StatusCode::kInternal, "R", "m")).metadata, IsEmpty());
}

}  // namespace
}  // namespace interpd::channels
