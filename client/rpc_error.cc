#include "client/rpc_error.h"

#include <grpcpp/support/status.h>

#include <optional>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace interpd::client {
namespace {

// The key that Abseil payloads and protobuf's Any both use for a message type.
constexpr char kErrorInfoUrl[] = "type.googleapis.com/google.rpc.ErrorInfo";

google::rpc::ErrorInfo GetErrorInfo(const absl::Status& status) {
  google::rpc::ErrorInfo info;
  if (std::optional<absl::Cord> payload = status.GetPayload(kErrorInfoUrl)) {
    info.ParseFromString(std::string(*payload));
  }
  return info;
}

absl::StatusCode ToCode(int code) {
  return code > 0 && code <= static_cast<int>(absl::StatusCode::kUnauthenticated) ? static_cast<absl::StatusCode>(code)
                                                                                  : absl::StatusCode::kUnknown;
}

// gRPC's own words for a message over the limit of this side, said again in ours.
std::string Message(const grpc::Status& status) {
  struct Saying {
    std::string_view begin, subject, way_out;
  };
  constexpr Saying kSayings[] = {
      {"Sent message larger than max (", "the request", "let the code read what is large from a file"},
      {"Received message larger than max (", "the answer", "let the code write what is large to a file"},
  };
  std::string text = status.error_message();
  for (const auto& [begin, subject, way_out] : kSayings) {
    std::string_view sizes = text;  // "SIZE vs. LIMIT)"
    if (!absl::ConsumePrefix(&sizes, begin) || !absl::ConsumeSuffix(&sizes, ")")) continue;
    const std::pair<std::string_view, std::string_view> size = absl::StrSplit(sizes, absl::MaxSplits(" vs. ", 1));
    return absl::StrCat(subject, " has ", size.first, " bytes, and a message may have ", size.second, "; ", way_out);
  }
  return text;
}

}  // namespace

std::string ErrorReason(const absl::Status& status) { return GetErrorInfo(status).reason(); }

bool ConnectionBroke(const absl::Status& status) { return absl::IsUnavailable(status) && ErrorReason(status).empty(); }

std::map<std::string, std::string> ErrorMetadata(const absl::Status& status) {
  google::rpc::ErrorInfo info = GetErrorInfo(status);
  return {info.metadata().begin(), info.metadata().end()};
}

absl::Status ToAbslStatus(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  absl::Status result(ToCode(status.error_code()), Message(status));
  google::rpc::Status details;
  if (details.ParseFromString(status.error_details())) {
    for (const google::protobuf::Any& detail : details.details()) {
      if (detail.type_url() == kErrorInfoUrl) result.SetPayload(kErrorInfoUrl, absl::Cord(detail.value()));
    }
  }
  return result;
}

absl::Status ToAbslStatus(const v1::CallError& error) {
  absl::Status result(ToCode(error.code()), error.message());
  google::rpc::ErrorInfo info;
  info.set_reason(error.reason());
  info.set_domain("interpd");
  *info.mutable_metadata() = error.metadata();
  result.SetPayload(kErrorInfoUrl, absl::Cord(info.SerializeAsString()));
  return result;
}

}  // namespace interpd::client
