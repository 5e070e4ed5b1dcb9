#include "daemon/health_service.h"

#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "daemon/immediate_rpc.h"
#include "daemon/utf8.h"

namespace interpd::daemon {
namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

// None: the server knows no such service. The empty name is the server as a whole.
std::optional<HealthCheckResponse::ServingStatus> StatusOf(const ServerState& state, const std::string& service) {
  if (!service.empty() && service != v1::Interpreters::service_full_name() &&
      service != v1::Admin::service_full_name()) {
    return std::nullopt;
  }
  return state.draining ? HealthCheckResponse::NOT_SERVING : HealthCheckResponse::SERVING;
}

absl::Status Check(ServerState& state, const Principal&, const HealthCheckRequest& request,
                   HealthCheckResponse* response) {
  std::optional<HealthCheckResponse::ServingStatus> status = StatusOf(state, request.service());
  if (!status) {
    return MakeError(absl::StatusCode::kNotFound, v1::INVALID_FIELD,
                     absl::StrCat("there is no service \"", Abridge(request.service(), 128),
                                  "\" here; leave `service` empty to ask for the daemon as a whole"),
                     {{"field", "service"}});
  }
  response->set_status(*status);
  return absl::OkStatus();
}

}  // namespace

// Health.Watch: the status now and at each change.
class WatchRpc final : public ServerStreamRpc<HealthCheckRequest, HealthCheckResponse> {
 public:
  WatchRpc(ServerState& state, RawHealth& service, absl::flat_hash_set<WatchRpc*>& watchers)
      : ServerStreamRpc(state, RuleOf("grpc.health.v1.Health/Watch")), service_(service), watchers_(watchers) {}

  // Says what has changed since it was last said.
  void Advance() {
    if (finished() || writing()) return;
    if (!ending_.ok()) return Finish(ending_);
    HealthCheckResponse::ServingStatus status =
        StatusOf(state_, watched_).value_or(HealthCheckResponse::SERVICE_UNKNOWN);
    if (status == said_) return;
    said_ = status;
    HealthCheckResponse message;
    message.set_status(status);
    Write(message);
  }

 private:
  ~WatchRpc() override { watchers_.erase(this); }

  void Listen(void* tag) override {
    service_.RequestWatch(&context_, &request_bytes_, &stream_, state_.loop.queue(), state_.loop.queue(), tag);
  }
  Rpc* Another() const override { return new WatchRpc(state_, service_, watchers_); }
  void Handle(HealthCheckRequest& request) override {
    watched_ = request.service();
    state_.open_streams.insert(this);
    watchers_.insert(this);
    Advance();
  }
  void OnWritten(bool) override { Advance(); }
  void OnCancelled() override { End(CancelledByClient()); }
  void OnShutdown() override { End(ServerDraining()); }

  void End(absl::Status status) {
    if (ending_.ok()) ending_ = std::move(status);
    Advance();
  }

  RawHealth& service_;
  absl::flat_hash_set<WatchRpc*>& watchers_;
  std::string watched_;
  HealthCheckResponse::ServingStatus said_ = HealthCheckResponse::UNKNOWN;
  absl::Status ending_;
};

void HealthService::Listen() {
  using CheckRpc = ImmediateRpc<RawHealth, HealthCheckRequest, HealthCheckResponse>;
  (new CheckRpc(state_, RuleOf("grpc.health.v1.Health/Check"), raw_, &RawHealth::RequestCheck, &Check))->Start();
  (new WatchRpc(state_, raw_, watchers_))->Start();
}

void HealthService::Changed() {
  for (WatchRpc* watcher : watchers_) watcher->Advance();
}

}  // namespace interpd::daemon
