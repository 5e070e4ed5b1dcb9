#include "client/cli/foreground.h"

#include <unistd.h>

#include <utility>

#include "client/cli/print.h"

namespace interpd::client {
namespace {

// For the RPCs that a Ctrl-C causes: a daemon that does not answer must not keep the user waiting.
constexpr absl::Duration kInterruptTimeout = absl::Seconds(2);

}  // namespace

Foreground::Foreground(Session& session, Client& client, std::string name, Sharing sharing)
    : session_(session), client_(client), name_(std::move(name)), running_(sharing == Sharing::kOursAlone) {
  previous_ = session_.interrupts().SetHandler([this](int count) { OnSignal(count); });
  // A signal that came while we connected is not forgotten.
  if (session_.interrupts().exit_code() != 0) {
    interrupted_ = true;
    cancellation_.Cancel();
  }
}

Foreground::~Foreground() { session_.interrupts().SetHandler(std::move(previous_)); }

RpcOptions Foreground::rpc() {
  RpcOptions options = session_.rpc();
  options.cancellation = &cancellation_;
  return options;
}

void Foreground::OnSignal(int count) {
  interrupted_ = true;
  if (count > 2) _exit(session_.interrupts().exit_code());
  if (count == 2 || !InterruptOurs()) cancellation_.Cancel();
}

bool Foreground::InterruptOurs() {
  const RpcOptions options = {.timeout = kInterruptTimeout};
  if (!running_) {
    absl::StatusOr<v1::Interpreter> interpreter = client_.Get(name_, options);
    if (!interpreter.ok() || interpreter->pending_count() > 1) return false;
  }
  absl::StatusOr<v1::InterruptResponse> response = client_.Interrupt(name_, options);
  return response.ok() && response->interrupted();
}

absl::StatusOr<v1::ExecResult> StreamExec(Session& session, Client& client, Foreground& foreground,
                                          v1::ExecRequest request) {
  RpcOptions options = foreground.rpc();
  auto on_output = [&](const v1::Output& output) {
    foreground.NoteOutput();
    ShowOutput(session, output);
    // Nobody reads what it prints: as SIGPIPE would, this ends it.
    if (session.output_closed()) options.cancellation->Cancel();
  };
  return client.Exec(std::move(request), on_output, options);
}

int ExecInForeground(Session& session, Client& client, v1::ExecRequest request, Sharing sharing) {
  Foreground foreground(session, client, request.name(), sharing);
  absl::StatusOr<v1::ExecResult> result = StreamExec(session, client, foreground, std::move(request));
  if (!result.ok()) return session.Fail(result.status());
  if (session.json()) session.Out(JsonDocument(*result));
  if (!result->has_exception()) return ExitCodeOfSystemExit(result->exit_code());
  session.Err(result->exception().formatted());
  const bool by_us = foreground.interrupted() && result->exception().type() == "KeyboardInterrupt";
  return by_us ? session.interrupts().exit_code() : kPythonRaised;
}

void ShowOutput(Session& session, const v1::Output& output) {
  if (output.stream() == v1::Output::STDERR || session.json()) {
    session.Err(output.data());
  } else {
    session.Out(output.data());
  }
}

}  // namespace interpd::client
