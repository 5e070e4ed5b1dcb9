// Exit codes: the table that scripts rely on.
#include "client/cli/exit_code.h"

#include <google/rpc/error_details.pb.h>
#include <google/rpc/status.pb.h>
#include <grpcpp/support/status.h>
#include <gtest/gtest.h>

#include "client/rpc_error.h"
#include "interpd/v1/error_reason.pb.h"

namespace interpd::client {
namespace {

// As the daemon's answer arrives.
absl::Status FromDaemon(grpc::StatusCode code, v1::ErrorReason reason) {
  google::rpc::ErrorInfo info;
  info.set_reason(v1::ErrorReason_Name(reason));
  info.set_domain("interpd");
  (*info.mutable_metadata())["interpreter"] = "worker";
  google::rpc::Status details;
  details.set_code(code);
  details.add_details()->PackFrom(info);
  return ToAbslStatus(grpc::Status(code, "message", details.SerializeAsString()));
}

TEST(RpcErrorTest, ReasonAndMetadataComeAlong) {
  absl::Status status = FromDaemon(grpc::StatusCode::NOT_FOUND, v1::INTERPRETER_NOT_FOUND);
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(status.message(), "message");
  EXPECT_EQ(ErrorReason(status), "INTERPRETER_NOT_FOUND");
  EXPECT_EQ(ErrorMetadata(status).at("interpreter"), "worker");
  EXPECT_EQ(ErrorReason(absl::NotFoundError("x")), "");
  EXPECT_EQ(ErrorReason(ToAbslStatus(grpc::Status(grpc::StatusCode::INTERNAL, "x", "no message at all"))), "");
}

TEST(RpcErrorTest, AnErrorOfACallStreamIsTheSame) {
  v1::CallError error;
  error.set_code(grpc::StatusCode::RESOURCE_EXHAUSTED);
  error.set_message("full");
  error.set_reason("QUEUE_FULL");
  (*error.mutable_metadata())["limit"] = "8";
  absl::Status status = ToAbslStatus(error);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ErrorReason(status), "QUEUE_FULL");
  EXPECT_EQ(ErrorMetadata(status).at("limit"), "8");
}

TEST(ExitCodeTest, EveryReasonOfTheDaemonHasOne) {
  using grpc::StatusCode;
  const struct {
    v1::ErrorReason reason;
    StatusCode code;
    int exit_code;
  } table[] = {
      {v1::INVALID_FIELD, StatusCode::INVALID_ARGUMENT, 2},
      {v1::INVALID_VALUE, StatusCode::INVALID_ARGUMENT, 2},
      {v1::SOURCE_TOO_LARGE, StatusCode::INVALID_ARGUMENT, 5},
      {v1::INTERPRETER_NOT_FOUND, StatusCode::NOT_FOUND, 4},
      {v1::INTERPRETER_EXISTS, StatusCode::ALREADY_EXISTS, 5},
      {v1::INTERPRETER_CLOSING, StatusCode::FAILED_PRECONDITION, 5},
      {v1::INTERPRETER_FAILED, StatusCode::FAILED_PRECONDITION, 1},
      {v1::QUEUE_FULL, StatusCode::RESOURCE_EXHAUSTED, 5},
      {v1::TOO_MANY_INTERPRETERS, StatusCode::RESOURCE_EXHAUSTED, 5},
      {v1::TARGET_NOT_FOUND, StatusCode::NOT_FOUND, 4},
      {v1::TARGET_NOT_CALLABLE, StatusCode::INVALID_ARGUMENT, 2},
      {v1::VALUE_NOT_SHAREABLE, StatusCode::FAILED_PRECONDITION, 5},
      {v1::CHANNEL_NOT_FOUND, StatusCode::NOT_FOUND, 4},
      {v1::CHANNEL_EXISTS, StatusCode::ALREADY_EXISTS, 5},
      {v1::CHANNEL_CLOSED, StatusCode::FAILED_PRECONDITION, 5},
      {v1::CHANNEL_FULL, StatusCode::RESOURCE_EXHAUSTED, 5},
      {v1::SUBSCRIBER_TOO_SLOW, StatusCode::RESOURCE_EXHAUSTED, 5},
      {v1::CONSTANT_NOT_FOUND, StatusCode::NOT_FOUND, 4},
      {v1::CONSTANT_TOO_LARGE, StatusCode::RESOURCE_EXHAUSTED, 5},
      {v1::TOO_MANY_PUTS, StatusCode::RESOURCE_EXHAUSTED, 5},
      {v1::CONSTANT_NOT_PERSISTED, StatusCode::FAILED_PRECONDITION, 5},
      {v1::JOB_NOT_FOUND, StatusCode::NOT_FOUND, 4},
      {v1::JOB_STATE, StatusCode::FAILED_PRECONDITION, 5},
      {v1::JOBS_DISABLED, StatusCode::FAILED_PRECONDITION, 5},
      {v1::JOURNAL_FULL, StatusCode::RESOURCE_EXHAUSTED, 5},
      {v1::TOO_MANY_JOBS, StatusCode::RESOURCE_EXHAUSTED, 5},
      {v1::NOT_AUTHENTICATED, StatusCode::UNAUTHENTICATED, 5},
      {v1::NOT_PERMITTED, StatusCode::PERMISSION_DENIED, 5},
      {v1::TOO_MANY_IN_FLIGHT, StatusCode::RESOURCE_EXHAUSTED, 5},
      {v1::RATE_LIMITED, StatusCode::RESOURCE_EXHAUSTED, 5},
      {v1::CANCELLED_BY_CLIENT, StatusCode::CANCELLED, 6},
      {v1::SERVER_DRAINING, StatusCode::UNAVAILABLE, 5},
      {v1::MESSAGE_TOO_LARGE, StatusCode::RESOURCE_EXHAUSTED, 5},
      {v1::INTERNAL_ERROR, StatusCode::INTERNAL, 7},
  };
  for (const auto& row : table) {
    EXPECT_EQ(ExitCodeOf(FromDaemon(row.code, row.reason)), row.exit_code) << v1::ErrorReason_Name(row.reason);
  }
  // The enum's zero has none.
  EXPECT_EQ(std::size(table) + 1, static_cast<size_t>(v1::ErrorReason_descriptor()->value_count()));
}

TEST(ExitCodeTest, OfErrorsWithoutAReason) {
  EXPECT_EQ(ExitCodeOf(absl::OkStatus()), 0);
  EXPECT_EQ(ExitCodeOf(absl::UnavailableError("")), 3);
  EXPECT_EQ(ExitCodeOf(absl::DeadlineExceededError("")), 6);
  EXPECT_EQ(ExitCodeOf(absl::UnknownError("")), 7);
  EXPECT_EQ(ExitCodeOf(absl::UnimplementedError("")), 7);
}

TEST(ExitCodeTest, OfASystemExitIsItsLowestByte) {
  EXPECT_EQ(ExitCodeOfSystemExit(0), 0);
  EXPECT_EQ(ExitCodeOfSystemExit(255), 255);
  EXPECT_EQ(ExitCodeOfSystemExit(256), 0);
  EXPECT_EQ(ExitCodeOfSystemExit(-1), 255);
}

}  // namespace
}  // namespace interpd::client
