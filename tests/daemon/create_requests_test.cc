// Repeated Create requests.
#include "daemon/create_requests.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "channels/error.h"
#include "daemon/errors.h"
#include "interpd/v1/interpreters.pb.h"

namespace interpd::daemon {
namespace {

using InterpreterRequests = CreateRequests<v1::Interpreter>;

class CreateRequestsTest : public testing::Test {
 protected:
  struct Told {
    absl::Status status;
    std::string name;
  };

  // Whether it is the first; if not, `*told` is set when it is answered.
  bool IsFirst(const std::string& id, std::optional<Told>* told, uint64_t fingerprint = 1) {
    InterpreterRequests::Answer answer = [told](const absl::Status& status, const v1::Interpreter& interpreter) {
      *told = Told{status, interpreter.name()};
    };
    return requests_.IsFirst(id, fingerprint, now_, &answer);
  }

  void Made(const std::string& id, const absl::Status& status = absl::OkStatus()) {
    v1::Interpreter interpreter;
    interpreter.set_name("interpreters/" + id);
    requests_.Made(id, status, interpreter, interpreter, now_);
  }

  InterpreterRequests requests_;
  absl::Time now_ = absl::FromUnixSeconds(1'000'000);
  std::optional<Told> none_;
};

TEST_F(CreateRequestsTest, ARepeatedRequestIsAnsweredWithTheFirst) {
  std::optional<Told> early, late;
  EXPECT_TRUE(IsFirst("a", &none_));
  EXPECT_FALSE(IsFirst("a", &early));
  EXPECT_FALSE(early.has_value());
  Made("a");
  ASSERT_TRUE(early.has_value());
  EXPECT_EQ(early->name, "interpreters/a");
  EXPECT_FALSE(IsFirst("a", &late));
  ASSERT_TRUE(late.has_value());
  EXPECT_EQ(late->name, "interpreters/a");
  EXPECT_TRUE(IsFirst("b", &none_));
  EXPECT_FALSE(none_.has_value());
}

TEST_F(CreateRequestsTest, AnErrorIsToldToAllAndForgotten) {
  std::optional<Told> told;
  EXPECT_TRUE(IsFirst("a", &none_));
  EXPECT_FALSE(IsFirst("a", &told));
  Made("a", ServerDraining());
  ASSERT_TRUE(told.has_value());
  EXPECT_EQ(told->status, ServerDraining());
  EXPECT_TRUE(IsFirst("a", &none_));
}

TEST_F(CreateRequestsTest, AnotherRequestWithTheSameIdIsRefused) {
  std::optional<Told> told;
  EXPECT_TRUE(IsFirst("a", &none_, 1));
  EXPECT_FALSE(IsFirst("a", &told, 2));
  ASSERT_TRUE(told.has_value());
  EXPECT_EQ(channels::GetErrorInfo(told->status).metadata["field"], "request_id");
}

TEST_F(CreateRequestsTest, IsForgottenAfterTenMinutes) {
  std::optional<Told> told;
  EXPECT_TRUE(IsFirst("a", &none_));
  Made("a");
  now_ += absl::Minutes(10) - absl::Seconds(1);
  EXPECT_FALSE(IsFirst("a", &told));
  now_ += absl::Seconds(1);
  EXPECT_TRUE(IsFirst("a", &none_));
}

TEST_F(CreateRequestsTest, TheOldestGiveWay) {
  for (size_t i = 0; i <= InterpreterRequests::kMaxRemembered; ++i) {
    EXPECT_TRUE(IsFirst(absl::StrCat(i), &none_));
    Made(absl::StrCat(i));
  }
  EXPECT_EQ(requests_.size(), InterpreterRequests::kMaxRemembered);
  std::optional<Told> told;
  EXPECT_FALSE(IsFirst("1", &told));
  EXPECT_TRUE(IsFirst("0", &none_));
}

}  // namespace
}  // namespace interpd::daemon
