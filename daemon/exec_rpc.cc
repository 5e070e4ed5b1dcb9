#include "daemon/exec_rpc.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "daemon/interpreter_proto.h"
#include "interp/interpreter_registry.h"

namespace interpd::daemon {
namespace {

absl::StatusOr<interp::ExecRequest> Decode(v1::ExecRequest& request) {
  if (request.source().size() > interp::kMaxSourceBytes) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, v1::SOURCE_TOO_LARGE,
        absl::StrCat("the source has ", request.source().size(), " bytes, over the limit of ", interp::kMaxSourceBytes,
                     "; put it in a module and import that"),
        {{"bytes", absl::StrCat(request.source().size())}, {"limit", absl::StrCat(interp::kMaxSourceBytes)}});
  }
  if (request.filename().find('\0') != std::string::npos) return InvalidField("filename", "holds a NUL character");
  interp::ExecRequest exec;
  exec.source = std::move(*request.mutable_source());
  exec.filename = std::move(*request.mutable_filename());
  exec.args.assign(std::make_move_iterator(request.mutable_args()->begin()),
                   std::make_move_iterator(request.mutable_args()->end()));
  exec.interactive = request.interactive();
  return exec;
}

}  // namespace

void ExecRpc::Listen(void* tag) {
  service_.RequestExec(&context_, &request_bytes_, &stream_, state_.loop.queue(), state_.loop.queue(), tag);
}

void ExecRpc::Handle(v1::ExecRequest& request) {
  absl::Status submitted = Submit(request);
  if (!submitted.ok()) Finish(submitted);
}

absl::Status ExecRpc::Submit(v1::ExecRequest& request) {
  if (state_.draining) return ServerDraining();
  absl::StatusOr<std::string> id = ParseName(principal(), request.name());
  if (!id.ok()) return id.status();
  absl::StatusOr<std::shared_ptr<interp::Interpreter>> interpreter = state_.registry.Get(*id);
  if (!interpreter.ok()) return interpreter.status();
  absl::StatusOr<interp::ExecRequest> exec = Decode(request);
  if (!exec.ok()) return exec.status();
  auto work = std::make_shared<ExecWork>(*std::move(exec), state_.loop, this);
  absl::Status submitted = (*interpreter)->Submit(work);
  if (!submitted.ok()) return submitted;
  interpreter_ = *std::move(interpreter);
  work_ = std::move(work);
  Ref();  // until the end has been heard of
  return absl::OkStatus();
}

void ExecRpc::OnCancelled() {
  if (work_ == nullptr) return;
  interpreter_->Cancel(work_);
  if (work_->DropOutput()) interpreter_->ResumeOutput();
}

void ExecRpc::OnWritten(bool ok) {
  if (ok && work_->Sent(being_written_)) interpreter_->ResumeOutput();
  if (!ok && work_->DropOutput()) interpreter_->ResumeOutput();
  Advance();
}

void ExecRpc::ExecMoved(ExecWork& work) {
  if (work.ended()) state_.queue_room.WorkEnded(*interpreter_);
  Advance();
}

void ExecRpc::Advance() {
  if (writing() || finished()) return;
  if (std::optional<v1::Output> output = work_->TakeOutput()) {
    being_written_ = output->data().size();
    v1::ExecResponse message;
    *message.mutable_output() = *std::move(output);
    return Write(message);
  }
  if (!work_->ended()) return;
  const absl::StatusOr<v1::ExecResult>& result = work_->result();
  if (cancelled()) {
    Finish(CancelledByClient());
  } else if (!result.ok()) {
    Finish(result.status());
  } else {
    v1::ExecResponse message;
    *message.mutable_result() = *result;
    WriteLast(message);
  }
  Unref();
}

}  // namespace interpd::daemon
