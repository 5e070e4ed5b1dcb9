#include "channels/error.h"

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace interpd::channels {
namespace {

constexpr std::string_view kPayloadUrl = "interpd/error";

}  // namespace

absl::Status MakeError(absl::StatusCode code, std::string_view reason, std::string_view message,
                       std::initializer_list<std::pair<std::string_view, std::string_view>> metadata) {
  absl::Status status(code, message);
  // reason NUL key NUL value NUL key ...; a NUL inside a value would shift what follows, so it is cut there.
  std::string payload(reason);
  for (const auto& [key, value] : metadata) {
    absl::StrAppend(&payload, std::string_view("\0", 1), key, std::string_view("\0", 1),
                    value.substr(0, value.find('\0')));
  }
  status.SetPayload(kPayloadUrl, absl::Cord(payload));
  return status;
}

ErrorInfo GetErrorInfo(const absl::Status& status) {
  ErrorInfo info;
  auto payload = status.GetPayload(kPayloadUrl);
  if (!payload.has_value()) return info;
  std::vector<std::string> parts = absl::StrSplit(std::string(*payload), '\0');
  info.reason = parts[0];
  for (size_t i = 1; i + 1 < parts.size(); i += 2) info.metadata[parts[i]] = parts[i + 1];
  return info;
}

}  // namespace interpd::channels
