#include "daemon/errors.h"

#include "absl/strings/str_cat.h"
#include "channels/error.h"

namespace interpd::daemon {

absl::Status MakeError(absl::StatusCode code, v1::ErrorReason reason, std::string_view message,
                       std::initializer_list<std::pair<std::string_view, std::string_view>> metadata) {
  return channels::MakeError(code, v1::ErrorReason_Name(reason), message, metadata);
}

absl::Status InvalidField(std::string_view field, std::string_view problem) {
  return MakeError(absl::StatusCode::kInvalidArgument, v1::INVALID_FIELD, absl::StrCat(field, " ", problem),
                   {{"field", field}});
}

absl::Status ServerDraining() {
  return MakeError(absl::StatusCode::kUnavailable, v1::SERVER_DRAINING,
                   "the daemon is shutting down and takes no new work; try again once it has restarted");
}

absl::Status MessageTooLarge(std::string_view what, int64_t bytes, int64_t limit) {
  return MakeError(absl::StatusCode::kResourceExhausted, v1::MESSAGE_TOO_LARGE,
                   absl::StrCat(what, " has ", bytes, " bytes, over the limit of ", limit,
                                "; send less at a time or start the daemon with a larger --max-message-bytes"),
                   {{"bytes", absl::StrCat(bytes)}, {"limit", absl::StrCat(limit)}});
}

absl::Status CancelledByClient() {
  return MakeError(absl::StatusCode::kCancelled, v1::CANCELLED_BY_CLIENT,
                   "the client cancelled the call, or its deadline passed");
}

}  // namespace interpd::daemon
