#include "daemon/exec_work.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "daemon/exception_proto.h"
#include "daemon/interpreter_proto.h"
#include "daemon/proto_time.h"

namespace interpd::daemon {
namespace {

constexpr size_t kMaxChunkBytes = 64 << 10;    // of output in one message
constexpr size_t kMaxUnsentBytes = 256 << 10;  // beyond this the interpreter is told to wait
constexpr size_t kResumeBytes = 64 << 10;      // and below this to go on

v1::ExecResult EncodeResult(const interp::ExecResult& exec, absl::Duration run_time) {
  v1::ExecResult result;
  result.set_exit_code(exec.exit_code);
  if (exec.exception) EncodeException(*exec.exception, result.mutable_exception());
  result.set_incomplete(exec.incomplete);
  EncodeDuration(run_time, result.mutable_run_time());
  return result;
}

}  // namespace

bool ExecWork::Output(interp::Stream stream, std::string_view data) {
  std::lock_guard lock(mutex_);
  if (dropping_) return true;
  unsent_ += data.size();
  while (!data.empty()) {
    if (chunks_.empty() || chunks_.back().stream != stream || chunks_.back().data.size() >= kMaxChunkBytes) {
      chunks_.push_back({stream, {}});
    }
    std::string& last = chunks_.back().data;
    std::string_view part = data.substr(0, kMaxChunkBytes - last.size());
    last.append(part);
    data.remove_prefix(part.size());
  }
  Notify();
  if (unsent_ >= kMaxUnsentBytes) full_ = true;
  return !full_;
}

void ExecWork::Done(absl::StatusOr<interp::Result> result) {
  absl::StatusOr<v1::ExecResult> encoded = absl::InternalError("an exec was answered with the result of a call");
  if (!result.ok()) {
    encoded = std::move(result).status();
  } else if (interp::ExecResult* exec = std::get_if<interp::ExecResult>(&result->value)) {
    encoded = EncodeResult(*exec, result->run_time);
  }
  std::lock_guard lock(mutex_);
  result_ = std::move(encoded);
  Notify();
}

void ExecWork::Notify() {
  if (notified_) return;
  notified_ = true;
  loop_.Post(this);
}

void ExecWork::Run() {
  {
    std::lock_guard lock(mutex_);
    notified_ = false;
    // Done has been here, and saw this notification pending or made it: no other follows.
    ended_ = result_.has_value();
  }
  owner_->ExecMoved(*this);
}

std::optional<v1::Output> ExecWork::TakeOutput() {
  std::lock_guard lock(mutex_);
  if (chunks_.empty()) return std::nullopt;
  v1::Output output;
  output.set_stream(EncodeStream(chunks_.front().stream));
  output.set_data(std::move(chunks_.front().data));
  chunks_.pop_front();
  return output;
}

bool ExecWork::Sent(size_t bytes) {
  std::lock_guard lock(mutex_);
  unsent_ -= std::min(unsent_, bytes);
  if (!full_ || unsent_ > kResumeBytes) return false;
  full_ = false;
  return true;
}

bool ExecWork::DropOutput() {
  std::lock_guard lock(mutex_);
  dropping_ = true;
  chunks_.clear();
  unsent_ = 0;
  return std::exchange(full_, false);
}

}  // namespace interpd::daemon
