// What a client sees of an error.
#include "daemon/rpc_status.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "channels/error.h"
#include "daemon/errors.h"
#include "daemon/utf8.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "interpd/v1/error_reason.pb.h"

namespace interpd::daemon {
namespace {

struct Seen {
  google::rpc::Status status;
  google::rpc::ErrorInfo info;
};

Seen Read(const grpc::Status& status) {
  Seen seen;
  EXPECT_TRUE(seen.status.ParseFromString(status.error_details()));
  EXPECT_EQ(seen.status.details_size(), 1);
  EXPECT_TRUE(seen.status.details(0).UnpackTo(&seen.info));
  return seen;
}

TEST(RpcStatusTest, OkHasNoDetails) {
  grpc::Status status = ToGrpcStatus(absl::OkStatus());
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(status.error_details(), "");
}

// Everything that the daemon makes itself, with the code and the metadata that the contract promises for its reason.
TEST(RpcStatusTest, EachErrorOfTheDaemonKeepsItsContract) {
  struct Case {
    absl::Status status;
    v1::ErrorReason reason;
    grpc::StatusCode code;
    std::vector<std::string> keys;
  };
  const Case cases[] = {
      {InvalidField("name", "is odd"), v1::INVALID_FIELD, grpc::StatusCode::INVALID_ARGUMENT, {"field"}},
      {ServerDraining(), v1::SERVER_DRAINING, grpc::StatusCode::UNAVAILABLE, {}},
      {MessageTooLarge("x", 5, 4), v1::MESSAGE_TOO_LARGE, grpc::StatusCode::RESOURCE_EXHAUSTED, {"bytes", "limit"}},
      {CancelledByClient(), v1::CANCELLED_BY_CLIENT, grpc::StatusCode::CANCELLED, {}},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(v1::ErrorReason_Name(c.reason));
    grpc::Status status = ToGrpcStatus(c.status);
    Seen seen = Read(status);
    EXPECT_EQ(status.error_code(), c.code);
    EXPECT_EQ(seen.status.code(), static_cast<int>(c.code));
    EXPECT_EQ(seen.status.message(), status.error_message());
    EXPECT_EQ(seen.info.reason(), v1::ErrorReason_Name(c.reason));
    EXPECT_EQ(seen.info.domain(), "interpd");
    EXPECT_EQ(static_cast<size_t>(seen.info.metadata_size()), c.keys.size());
    for (const std::string& key : c.keys) EXPECT_TRUE(seen.info.metadata().contains(key)) << key;
  }
}

// Reasons pass through from below as they are, so each must be a name of the enum, whoever made it.
TEST(RpcStatusTest, EveryReasonOfTheContractPassesThrough) {
  for (int i = v1::ErrorReason_MIN; i <= v1::ErrorReason_MAX; ++i) {
    if (!v1::ErrorReason_IsValid(i) || i == v1::ERROR_REASON_UNSPECIFIED) continue;
    const std::string& name = v1::ErrorReason_Name(static_cast<v1::ErrorReason>(i));
    absl::Status status = channels::MakeError(absl::StatusCode::kNotFound, name, "gone", {{"key", "value"}});
    Seen seen = Read(ToGrpcStatus(status));
    EXPECT_EQ(seen.info.reason(), name);
    EXPECT_EQ(seen.info.metadata().at("key"), "value");
    v1::CallError error = ToCallError(status);
    EXPECT_EQ(error.code(), static_cast<int>(grpc::StatusCode::NOT_FOUND));
    EXPECT_EQ(error.message(), "gone");
    EXPECT_EQ(error.reason(), name);
    EXPECT_EQ(error.metadata().at("key"), "value");
  }
}

TEST(RpcStatusTest, AnErrorWithoutReasonIsADefectOfTheDaemon) {
  grpc::Status status = ToGrpcStatus(absl::NotFoundError("odd"));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_EQ(Read(status).info.reason(), "INTERNAL_ERROR");
}

TEST(RpcStatusTest, AReasonThatTheContractDoesNotKnowStaysInside) {
  absl::Status odd = channels::MakeError(absl::StatusCode::kNotFound, "NO_SUCH_REASON", "odd", {{"key", "value"}});
  grpc::Status status = ToGrpcStatus(odd);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_EQ(Read(status).info.reason(), "INTERNAL_ERROR");
  EXPECT_EQ(Read(status).info.metadata_size(), 0);
  EXPECT_EQ(ToCallError(odd).reason(), "INTERNAL_ERROR");
}

TEST(RpcStatusTest, ABareCancellationIsTheClients) {
  for (const absl::Status& status : {absl::CancelledError("stopped"), absl::DeadlineExceededError("late")}) {
    grpc::Status sent = ToGrpcStatus(status);
    EXPECT_EQ(static_cast<int>(sent.error_code()), static_cast<int>(status.code()));
    EXPECT_EQ(Read(sent).info.reason(), "CANCELLED_BY_CLIENT");
  }
}

// gRPC clients refuse more than 8 KiB of trailing metadata, and protobuf refuses strings that are no UTF-8.
TEST(RpcStatusTest, LongAndBinaryTextsAreTamed) {
  std::string traceback = "Traceback\n";
  for (int i = 0; i < 10'000; ++i) traceback += "\xe2\x82\xac line\n";
  traceback += "ValueError: the point";
  absl::Status status = channels::MakeError(absl::StatusCode::kFailedPrecondition, "INTERPRETER_FAILED", traceback,
                                            {{"interpreter", std::string(5000, '\xff')}});
  grpc::Status sent = ToGrpcStatus(status);
  Seen seen = Read(sent);
  size_t encoded = 3 * sent.error_message().size() + sent.error_details().size();
  EXPECT_LT(encoded, 8000u);
  EXPECT_TRUE(sent.error_message().starts_with("Traceback"));
  EXPECT_TRUE(sent.error_message().ends_with("ValueError: the point"));
  EXPECT_EQ(ValidUtf8Prefix(sent.error_message(), Surrogates::kRefuse), sent.error_message().size());
}

TEST(Utf8Test, KnowsWhatIsValid) {
  struct Case {
    std::string text;
    size_t strict, with_surrogates;
  };
  const Case cases[] = {
      {"plain", 5, 5},
      {"\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\x8d", 9, 9},
      {"\xed\xa0\x80", 0, 3},      // a lone surrogate
      {"\xc0\x80", 0, 0},          // overlong
      {"\xe0\x9f\xbf", 0, 0},      // overlong
      {"\xf0\x8f\xbf\xbf", 0, 0},  // overlong
      {"\xf4\x90\x80\x80", 0, 0},  // above U+10FFFF
      {"ab\xe2\x82", 2, 2},        // cut short
      {"\x80", 0, 0},
      {"\xff", 0, 0},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(ValidUtf8Prefix(c.text, Surrogates::kRefuse), c.strict) << testing::PrintToString(c.text);
    EXPECT_EQ(ValidUtf8Prefix(c.text, Surrogates::kAllow), c.with_surrogates) << testing::PrintToString(c.text);
    std::string valid = ToValidUtf8(c.text);
    EXPECT_EQ(ValidUtf8Prefix(valid, Surrogates::kRefuse), valid.size());
    EXPECT_EQ(valid.substr(0, c.strict), c.text.substr(0, c.strict));
  }
  EXPECT_EQ(ToValidUtf8("a\xff"
                        "b"),
            "a\xef\xbf\xbd"
            "b");
}

}  // namespace
}  // namespace interpd::daemon
