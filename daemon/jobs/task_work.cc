#include "daemon/jobs/task_work.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "channels/error.h"
#include "daemon/errors.h"
#include "daemon/exception_proto.h"
#include "daemon/interpreter_proto.h"
#include "daemon/value_proto.h"

namespace interpd::daemon {
namespace {

constexpr size_t kMaxLogRecordBytes = 64 << 10;
constexpr int64_t kLogRecordCost = 64;

// What a work's status says about the work: that it was stopped from outside, or that it has failed.
bool IsFromOutside(const absl::Status& status) {
  const std::string reason = channels::GetErrorInfo(status).reason;
  return reason == v1::ErrorReason_Name(v1::CANCELLED_BY_CLIENT) ||
         reason == v1::ErrorReason_Name(v1::INTERPRETER_CLOSING) ||
         reason == v1::ErrorReason_Name(v1::INTERPRETER_FAILED);
}

}  // namespace

bool TaskWork::Output(interp::Stream stream, std::string_view data) {
  bool tell = false;
  {
    std::lock_guard lock(mutex_);
    const v1::Output::Stream out = EncodeStream(stream);
    while (!data.empty()) {
      const int64_t room = options_.log_limit_bytes - logged_bytes_;
      if (room <= 0) {
        dropped_[stream == interp::Stream::kStderr] += static_cast<int64_t>(data.size());
        break;
      }
      tell = !std::exchange(told_, true) || tell;
      if (logs_.empty() || logs_.back().stream != out || logs_.back().data.size() >= kMaxLogRecordBytes) {
        logs_.push_back({.job = task_.job, .index = task_.index, .attempt = task_.attempt, .stream = out});
        // Many small ones take more than their bytes.
        if (std::exchange(has_logged_, true)) logged_bytes_ += std::min(room - 1, kLogRecordCost);
      }
      LogRecord& last = logs_.back();
      const size_t left = static_cast<size_t>(options_.log_limit_bytes - logged_bytes_);
      const std::string_view part = data.substr(0, std::min(left, kMaxLogRecordBytes - last.data.size()));
      last.data.append(part);
      logged_bytes_ += static_cast<int64_t>(part.size());
      data.remove_prefix(part.size());
    }
  }
  if (tell) inbox_.HasLogs(shared_from_this());
  return true;  // what is too much is counted, not kept, so there is always room
}

std::vector<LogRecord> TaskWork::TakeLogs(bool has_ended) {
  std::lock_guard lock(mutex_);
  told_ = false;
  std::vector<LogRecord> logs = std::exchange(logs_, {});
  for (interp::Stream stream : {interp::Stream::kStdout, interp::Stream::kStderr}) {
    int64_t& dropped = dropped_[stream == interp::Stream::kStderr];
    if (!has_ended || dropped == 0) continue;
    logs.push_back({.job = task_.job,
                    .index = task_.index,
                    .attempt = task_.attempt,
                    .stream = EncodeStream(stream),
                    .dropped_bytes = std::exchange(dropped, 0)});
  }
  return logs;
}

void TaskWork::Done(absl::StatusOr<interp::Result> result) {
  const bool is_script = result.ok() && std::holds_alternative<interp::ExecResult>(result->value);
  Encode(std::move(result));
  end_time_ = absl::Now();
  if (is_script && end_ == End::kSucceeded) {
    outcome_.mutable_result()->set_none(v1::NONE);
    // Release: ResultDone, on whatever thread, sees what was written above.
    Script expected = Script::kRuns;
    if (script_.compare_exchange_strong(expected, Script::kSucceeded, std::memory_order_acq_rel)) return;
  }
  inbox_.HasEnded(shared_from_this());
}

void TaskWork::ResultDone(absl::StatusOr<interp::Result> result) {
  Script expected = Script::kRuns;
  // The script runs still, or has failed: its end is told by Done.
  if (script_.compare_exchange_strong(expected, Script::kResultDropped, std::memory_order_acq_rel)) return;
  // A result that is lost since the interpreter was closed behind the script: it has succeeded all the same.
  if (result.ok()) {
    interp::CallResult& call = std::get<interp::CallResult>(result->value);
    if (call.exception) {
      Fail(absl::StrCat("interpd.task.result: ", call.exception->message));
    } else {
      EncodeResult(call.value);
    }
  } else if (!IsFromOutside(result.status())) {
    Fail(absl::StrCat("interpd.task.result: ", result.status().message()));
  }
  inbox_.HasEnded(shared_from_this());
}

void TaskWork::Encode(absl::StatusOr<interp::Result> result) {
  if (!result.ok()) {
    if (IsFromOutside(result.status())) {
      end_ = End::kInterrupted;
      outcome_.set_error(std::string(result.status().message()));
    } else {
      Fail(result.status().message());
    }
    return;
  }
  run_time_ = result->run_time;
  std::unique_ptr<interp::ExceptionInfo> exception;
  if (interp::ExecResult* exec = std::get_if<interp::ExecResult>(&result->value)) {
    exception = std::move(exec->exception);
    outcome_.set_exit_code(exec->exit_code);
    if (!exception && exec->exit_code != 0) return Fail(absl::StrCat("exited with code ", exec->exit_code));
    end_ = End::kSucceeded;
  } else {
    interp::CallResult& call = std::get<interp::CallResult>(result->value);
    exception = std::move(call.exception);
    if (!exception) return EncodeResult(call.value);
  }
  if (exception) {
    end_ = End::kFailed;
    EncodeException(*exception, outcome_.mutable_exception());
  }
}

void TaskWork::EncodeResult(const channels::Value& value) {
  absl::Status encoded = EncodeValue(value, options_.names, outcome_.mutable_result());
  if (!encoded.ok()) return Fail(encoded.message());
  const int64_t bytes = static_cast<int64_t>(outcome_.ByteSizeLong());
  if (bytes > options_.max_result_bytes) {
    return Fail(absl::StrCat("its result has ", bytes, " bytes, over the limit of ", options_.max_result_bytes));
  }
  end_ = End::kSucceeded;
}

void TaskWork::Fail(std::string_view error) {
  end_ = End::kFailed;
  outcome_.set_error(std::string(error));
}

ResultWork::ResultWork(std::shared_ptr<TaskWork> script)
    : Work(interp::CallRequest{.target = "_interpd_job:take_result"}), script_(std::move(script)) {}

}  // namespace interpd::daemon
