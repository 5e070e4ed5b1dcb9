#include "tests/testing/host.h"

#include <gtest/gtest.h>

#include "absl/log/check.h"
#include "channels/shared.h"

namespace interpd::testing {
namespace {

std::unique_ptr<interp::InterpreterRegistry>& TheHost() {
  static auto* host = new std::unique_ptr<interp::InterpreterRegistry>;
  return *host;
}

}  // namespace

interp::InterpreterRegistry& Host() {
  if (!TheHost()) {
    absl::StatusOr<std::unique_ptr<interp::InterpreterRegistry>> started =
        interp::InterpreterRegistry::Start({.channels = &Channels()});
    CHECK_OK(started.status());
    TheHost() = *std::move(started);
  }
  return *TheHost();
}

void EndHost() { TheHost().reset(); }

channels::ChannelRegistry& Channels() {
  static auto* channels = new channels::ChannelRegistry;
  return *channels;
}

int64_t LiveObjects() {
  Channels().List("", 1);  // forgets channels that are closed and empty
  return channels::Shared::live_count();
}

TestInterpreter::TestInterpreter(interp::InterpreterConfig config, std::string_view name) {
  absl::Notification made;
  absl::Status status;
  auto interpreter = Host().Create(name, std::move(config), [&](absl::Status result) {
    status = std::move(result);
    made.Notify();
  });
  CHECK_OK(interpreter.status());
  made.WaitForNotification();
  CHECK_OK(status);
  interpreter_ = *std::move(interpreter);
}

TestInterpreter::~TestInterpreter() {
  if (interpreter_) Close(absl::ZeroDuration());
}

std::shared_ptr<RecordedWork> TestInterpreter::Start(std::string source) {
  auto work = std::make_shared<RecordedWork>(interp::ExecRequest{.source = std::move(source)});
  CHECK_OK(interpreter_->Submit(work));
  return work;
}

ExecOutcome TestInterpreter::Exec(std::string source, interp::ExecRequest rest) {
  rest.source = std::move(source);
  auto work = std::make_shared<RecordedWork>(std::move(rest));
  ExecOutcome outcome;
  outcome.status = interpreter_->Submit(work);
  if (!outcome.status.ok()) return outcome;
  outcome.status = work->result().status();
  if (outcome.status.ok()) outcome.result = std::move(std::get<interp::ExecResult>(work->result()->value));
  outcome.out = work->out();
  outcome.err = work->err();
  return outcome;
}

absl::StatusOr<interp::CallResult> TestInterpreter::Call(std::string target, channels::Value args,
                                                         channels::Value kwargs) {
  auto work = std::make_shared<RecordedWork>(
      interp::CallRequest{.target = std::move(target), .args = std::move(args), .kwargs = std::move(kwargs)});
  absl::Status submitted = interpreter_->Submit(work);
  if (!submitted.ok()) return submitted;
  if (!work->result().ok()) return work->result().status();
  return std::move(std::get<interp::CallResult>(work->result()->value));
}

interp::State TestInterpreter::Close(absl::Duration grace) {
  absl::Notification closed;
  interp::State state = interp::State::kActive;
  interpreter_->Close(grace, [&](interp::State result) {
    state = result;
    closed.Notify();
  });
  closed.WaitForNotification();
  return state;
}

channels::Value Ints(std::initializer_list<int64_t> values) {
  channels::ValueBuilder builder;
  builder.Begin(channels::Kind::kTuple, values.size());
  for (int64_t value : values) builder.Int(value);
  return std::move(builder).Finish();
}

}  // namespace interpd::testing
