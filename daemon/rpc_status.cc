#include "daemon/rpc_status.h"

#include <string>
#include <utility>

#include "absl/log/check.h"
#include "absl/log/log.h"
#include "channels/error.h"
#include "daemon/errors.h"
#include "daemon/utf8.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace interpd::daemon {
namespace {

constexpr char kDomain[] = "interpd";

// The message travels twice, once percent-encoded, which makes up to three bytes of one.
constexpr size_t kMaxMessageBytes = 1600;
constexpr size_t kMaxMetadataBytes = 256;  // of one entry

struct Described {
  absl::StatusCode code;
  std::string message;
  channels::ErrorInfo info;
};

Described Describe(const absl::Status& status) {
  CHECK(!status.ok());
  Described result{status.code(), Abridge(status.message(), kMaxMessageBytes), channels::GetErrorInfo(status)};
  v1::ErrorReason known;
  if (!result.info.reason.empty() && !v1::ErrorReason_Parse(result.info.reason, &known)) {
    // Made below, under a name that is not in the contract: clients are not to see it.
    LOG(ERROR) << "an error has the unknown reason " << result.info.reason << ": " << status;
    result.info = {};
  }
  if (result.info.reason.empty()) {
    bool cancelled = result.code == absl::StatusCode::kCancelled || result.code == absl::StatusCode::kDeadlineExceeded;
    if (!cancelled) result.code = absl::StatusCode::kInternal;
    result.info.reason = v1::ErrorReason_Name(cancelled ? v1::CANCELLED_BY_CLIENT : v1::INTERNAL_ERROR);
  }
  for (auto& [key, value] : result.info.metadata) value = Abridge(value, kMaxMetadataBytes);
  return result;
}

}  // namespace

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  Described error = Describe(status);
  google::rpc::ErrorInfo info;
  info.set_reason(error.info.reason);
  info.set_domain(kDomain);
  for (auto& [key, value] : error.info.metadata) (*info.mutable_metadata())[key] = value;
  google::rpc::Status details;
  details.set_code(static_cast<int>(error.code));
  details.set_message(error.message);
  details.add_details()->PackFrom(info);
  return grpc::Status(static_cast<grpc::StatusCode>(error.code), error.message, details.SerializeAsString());
}

v1::CallError ToCallError(const absl::Status& status) {
  Described error = Describe(status);
  v1::CallError result;
  result.set_code(static_cast<int>(error.code));
  result.set_message(std::move(error.message));
  result.set_reason(std::move(error.info.reason));
  for (auto& [key, value] : error.info.metadata) (*result.mutable_metadata())[key] = value;
  return result;
}

}  // namespace interpd::daemon
