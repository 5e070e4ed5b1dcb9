#include "daemon/create_rpc.h"

#include <utility>

#include "absl/hash/hash.h"
#include "absl/strings/str_cat.h"
#include "daemon/interpreter_proto.h"
#include "daemon/proto_time.h"

namespace interpd::daemon {
namespace {

constexpr absl::Duration kDefaultGracePeriod = absl::Seconds(5);

// What a repeated Create answers: the interpreter made the first time as it is now, or that it is closed.
v1::Interpreter Refresh(const ServerState& state, const Principal& principal, const v1::Interpreter& first) {
  absl::StatusOr<std::string> id = ParseName(principal, first.name());
  if (id.ok()) {
    absl::StatusOr<std::shared_ptr<interp::Interpreter>> now = state.registry.Get(*id);
    if (now.ok()) {
      v1::Interpreter result;
      EncodeInterpreter(principal, **now, SetupSource::kInclude, &result);
      bool same = result.create_time().seconds() == first.create_time().seconds() &&
                  result.create_time().nanos() == first.create_time().nanos();
      if (same) return result;
    }
  }
  v1::Interpreter result = first;
  result.set_state(v1::Interpreter::CLOSED);
  return result;
}

}  // namespace

void CreateRpc::Listen(void* tag) {
  service_.RequestCreate(&context_, &request_bytes_, &responder_, state_.loop.queue(), state_.loop.queue(), tag);
}

void CreateRpc::Handle(v1::CreateRequest& request) {
  if (state_.draining) return Fail(ServerDraining());
  if (!request.interpreter_id().empty() && !IsValidId(request.interpreter_id())) {
    return Fail(
        InvalidField("interpreter_id",
                     "must be 1 to 63 letters, digits, '_', '-' or '.', a letter or digit first; leave it empty "
                     "for a fresh one"));
  }
  absl::Status id_valid = CheckRequestId(request.request_id());
  if (!id_valid.ok()) return Fail(id_valid);
  if (!request.request_id().empty()) {
    Ref();  // until the answer
    CreateRequests<v1::Interpreter>::Answer answer = [this](const absl::Status& status,
                                                            const v1::Interpreter& interpreter) {
      if (status.ok()) {
        Reply(Refresh(state_, principal(), interpreter));
      } else {
        Fail(status);
      }
      Unref();
    };
    uint64_t fingerprint = absl::HashOf(request.SerializeAsString());
    // Two owners may have chosen the same.
    std::string request_id = absl::StrCat(principal().space, request.request_id());
    if (!requests_.IsFirst(request_id, fingerprint, absl::Now(), &answer)) return;
    Unref();
    request_id_ = std::move(request_id);
  }
  absl::Status status = Create(request);
  if (!status.ok()) Made(status);
}

absl::Status CreateRpc::Create(const v1::CreateRequest& request) {
  absl::StatusOr<interp::InterpreterConfig> config =
      DecodeConfig(request.config(), state_.options.interpreter_defaults);
  if (!config.ok()) return config.status();
  config->space = principal().space;
  absl::Status room = CheckRoom();
  if (!room.ok()) return room;
  // The host calls back from a thread of its own; the answer is made in the event loop.
  auto done = [this, &loop = state_.loop](absl::Status made) {
    loop.Post([this, made = std::move(made)] {
      Made(made);
      Unref();
    });
  };
  absl::StatusOr<std::shared_ptr<interp::Interpreter>> interpreter = state_.registry.Create(
      absl::StrCat(principal().space, request.interpreter_id()), *std::move(config), std::move(done));
  if (!interpreter.ok()) return interpreter.status();
  // Not too late: what `done` has posted runs after this handler.
  Ref();
  interpreter_ = *std::move(interpreter);
  return absl::OkStatus();
}

absl::Status CreateRpc::CheckRoom() const {
  const Principal& owner = principal();
  const auto limit = static_cast<size_t>(owner.limits.max_interpreters);
  if (limit == 0 || owner.space.empty()) return absl::OkStatus();
  const auto own = ListSeen(
      owner.space, "", limit, [&](std::string_view after, size_t most) { return state_.registry.List(after, most); },
      [](const auto& interpreter) { return std::string_view(interpreter->name()); });
  if (own.size() < limit) return absl::OkStatus();
  return MakeError(absl::StatusCode::kResourceExhausted, v1::TOO_MANY_INTERPRETERS,
                   absl::StrCat(owner.name, " has ", own.size(), " interpreters, as many as it may; close some"),
                   {{"limit", absl::StrCat(limit)}});
}

void CreateRpc::Made(const absl::Status& status) {
  v1::Interpreter answer;
  if (status.ok()) EncodeInterpreter(principal(), *interpreter_, SetupSource::kInclude, &answer);
  if (!request_id_.empty()) {
    v1::Interpreter remembered = answer;
    remembered.mutable_config()->clear_setup_source();  // up to 64 MiB that nobody needs again
    requests_.Made(request_id_, status, answer, std::move(remembered), absl::Now());
  }
  if (!status.ok()) return Fail(status);
  if (cancelled() && request_id_.empty()) {
    interpreter_->Close(absl::ZeroDuration(), [](interp::State) {});
  }
  Reply(answer);
}

void CloseRpc::Listen(void* tag) {
  service_.RequestClose(&context_, &request_bytes_, &responder_, state_.loop.queue(), state_.loop.queue(), tag);
}

void CloseRpc::Handle(v1::CloseRequest& request) {
  absl::Status status = Close(request);
  if (!status.ok()) Fail(status);
}

absl::Status CloseRpc::Close(const v1::CloseRequest& request) {
  if (state_.draining) return ServerDraining();
  absl::StatusOr<std::string> id = ParseName(principal(), request.name());
  if (!id.ok()) return id.status();
  absl::Duration grace = kDefaultGracePeriod;
  if (request.has_grace_period()) {
    absl::StatusOr<absl::Duration> asked = DecodeGracePeriod(request.grace_period(), "grace_period");
    if (!asked.ok()) return asked.status();
    grace = *asked;
  }
  absl::StatusOr<std::shared_ptr<interp::Interpreter>> interpreter = state_.registry.Get(*id);
  if (!interpreter.ok()) return interpreter.status();
  interpreter_ = *std::move(interpreter);
  Ref();
  interpreter_->Close(grace, [this, &loop = state_.loop](interp::State state) {
    loop.Post([this, state] {
      v1::Interpreter answer;
      EncodeInterpreter(principal(), *interpreter_, SetupSource::kOmit, &answer);
      answer.set_state(EncodeState(state));
      Reply(answer);
      interpreter_.reset();
      state_.options.on_interpreter_closed();
      Unref();
    });
  });
  return absl::OkStatus();
}

}  // namespace interpd::daemon
