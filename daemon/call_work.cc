#include "daemon/call_work.h"

#include <algorithm>
#include <string>
#include <utility>
#include <variant>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "daemon/errors.h"
#include "daemon/exception_proto.h"
#include "daemon/value_proto.h"

namespace interpd::daemon {
namespace {

constexpr size_t kMaxOutputBytes = 1 << 20;  // of one stream
constexpr size_t kMaxTargetBytes = 4096;

}  // namespace

bool CallWork::Output(interp::Stream stream, std::string_view data) {
  std::lock_guard lock(output_mutex_);
  std::string& kept = stream == interp::Stream::kStdout ? *response_.mutable_stdout() : *response_.mutable_stderr();
  size_t room = kMaxOutputBytes - kept.size();
  kept.append(data.substr(0, room));
  if (data.size() > room)
    response_.set_truncated_bytes(response_.truncated_bytes() + static_cast<int64_t>(data.size() - room));
  return true;  // what is too much is counted, not kept, so there is always room
}

void CallWork::Done(absl::StatusOr<interp::Result> result) {
  status_ = Encode(std::move(result));
  loop_.Post(this);
}

absl::Status CallWork::Encode(absl::StatusOr<interp::Result> result) {
  if (!result.ok()) return std::move(result).status();
  interp::CallResult* call = std::get_if<interp::CallResult>(&result->value);
  if (call == nullptr) return absl::InternalError("a call was answered with the result of an exec");
  if (call->exception) {
    EncodeException(*call->exception, response_.mutable_exception());
  } else {
    absl::Status encoded = EncodeValue(call->value, names_, response_.mutable_result());
    if (!encoded.ok()) return encoded;
  }
  response_bytes_ = response_.ByteSizeLong();
  int64_t bytes = static_cast<int64_t>(response_bytes_);
  if (bytes > max_message_bytes_) return MessageTooLarge("the result", bytes, max_message_bytes_);
  return absl::OkStatus();
}

absl::StatusOr<interp::CallRequest> DecodeCall(const v1::CallRequest& call, ChannelNames& names) {
  if (call.target().empty()) return InvalidField("target", "is empty; name a function, as in json:dumps");
  if (call.target().size() > kMaxTargetBytes) {
    return InvalidField("target", absl::StrCat("is longer than ", kMaxTargetBytes, " bytes"));
  }
  if (absl::StrContains(call.target(), '\0')) return InvalidField("target", "holds a NUL character");
  interp::CallRequest request;
  request.target = call.target();
  absl::StatusOr<channels::Value> args = DecodeArgs(call.args(), names);
  if (!args.ok()) return std::move(args).status();
  request.args = *std::move(args);
  absl::StatusOr<channels::Value> kwargs = DecodeKwargs(call.kwargs(), names);
  if (!kwargs.ok()) return std::move(kwargs).status();
  request.kwargs = *std::move(kwargs);
  return request;
}

}  // namespace interpd::daemon
