#include "daemon/admin_service.h"

#include <unistd.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/log/log.h"
#include "daemon/immediate_rpc.h"
#include "daemon/process_info.h"
#include "daemon/proto_time.h"
#include "daemon/server_metrics.h"
#include "daemon/utf8.h"
#include "daemon/value_proto.h"
#include "daemon/version.h"

namespace interpd::daemon {
namespace {

// What all have together, of which a user is told nothing.
void EncodeTotals(ServerState& state, const interp::HostInfo& host, v1::Info* response) {
  ProcessInfo process = ReadProcessInfo();
  response->set_interpreter_count(static_cast<int64_t>(host.interpreter_count));
  response->set_stuck_count(static_cast<int64_t>(host.stuck_count));
  response->set_pending_count(host.pending_count);
  response->set_completed_count(host.completed_count);
  response->set_rss_bytes(process.rss_bytes);
  response->set_open_fds(process.open_fds);
  response->set_threads(process.threads);
  for (std::string after;;) {
    constexpr size_t kAtATime = 1000;
    std::vector<channels::Ref<channels::Channel>> page = state.channels.List(after, kAtATime);
    response->set_channel_count(response->channel_count() + static_cast<int64_t>(page.size()));
    for (const channels::Ref<channels::Channel>& channel : page) {
      response->set_channel_value_count(response->channel_value_count() + static_cast<int64_t>(channel->SizeGuess()));
    }
    if (page.size() < kAtATime) break;
    after = page.back()->name();
  }
  response->set_channel_value_count(response->channel_value_count() + state.channel_clients.unacknowledged_total());
  const interp::ConstantTotals constants = state.registry.constants().totals();
  response->set_constant_count(constants.count);
  response->set_constant_bytes(constants.byte_count);
  response->set_retired_constant_bytes(constants.retired_bytes);
}

absl::Status GetInfo(ServerState& state, const Principal& principal, const v1::GetInfoRequest&, v1::Info* response) {
  interp::HostInfo host = state.registry.info();
  response->set_version(kVersion);
  response->set_python_version(ToValidUtf8(host.python_version));
  response->set_pid(getpid());
  EncodeTime(state.start_time, response->mutable_start_time());
  response->set_draining(state.draining);
  for (const std::string& address : state.addresses) response->add_listen_addresses(ToValidUtf8(address));
  if (principal.role != Role::kUser) EncodeTotals(state, host, response);
  v1::Limits* limits = response->mutable_limits();
  limits->set_max_interpreters(state.options.max_interpreters);
  limits->set_max_message_bytes(state.options.max_message_bytes);
  limits->set_max_source_bytes(interp::kMaxSourceBytes);
  limits->set_max_value_depth(kMaxWireDepth);
  limits->set_max_constant_bytes(state.options.max_constant_bytes);
  return absl::OkStatus();
}

class GetStatsRpc final : public UnaryRpc<v1::GetStatsRequest, v1::Stats> {
 public:
  GetStatsRpc(ServerState& state, RawAdmin& service)
      : UnaryRpc(state, RuleOf("interpd.v1.Admin/GetStats")), service_(service) {}

 private:
  void Listen(void* tag) override {
    service_.RequestGetStats(&context_, &request_bytes_, &responder_, state_.loop.queue(), state_.loop.queue(), tag);
  }
  Rpc* Another() const override { return new GetStatsRpc(state_, service_); }
  void Handle(v1::GetStatsRequest&) override {
    Ref();  // until the engine of jobs has answered
    CollectMetrics(state_, [this](MetricsPage page) {
      // All else is of everybody together, as what EncodeTotals tells: from how it changes, one would see what others
      // do.
      if (principal().role == Role::kUser) {
        page.Keep({"interpd_build_info", "interpd_start_time_seconds", "interpd_draining"});
      }
      v1::Stats stats;
      EncodeStats(page, &stats);
      Reply(stats);
      Unref();
    });
  }

  RawAdmin& service_;
};

absl::Status Drain(ServerState& state, const Principal&, const v1::DrainRequest& request, v1::DrainResponse*) {
  std::optional<absl::Duration> grace;
  if (request.has_grace_period()) {
    absl::StatusOr<absl::Duration> asked = DecodeGracePeriod(request.grace_period(), "grace_period");
    if (!asked.ok()) return asked.status();
    grace = *asked;
  }
  LOG(INFO) << "a client asks for a drain";
  state.options.on_drain(grace);
  return absl::OkStatus();
}

}  // namespace

void AdminService::Listen() {
  using GetInfoRpc = ImmediateRpc<RawAdmin, v1::GetInfoRequest, v1::Info>;
  (new GetInfoRpc(state_, RuleOf("interpd.v1.Admin/GetInfo"), raw_, &RawAdmin::RequestGetInfo, &GetInfo))->Start();
  (new GetStatsRpc(state_, raw_))->Start();
  using DrainRpc = ImmediateRpc<RawAdmin, v1::DrainRequest, v1::DrainResponse>;
  (new DrainRpc(state_, RuleOf("interpd.v1.Admin/Drain"), raw_, &RawAdmin::RequestDrain, &Drain))->Start();
}

}  // namespace interpd::daemon
