// Rows of the gRPC interface: the daemon beside an empty echo server, each in a process of its own.
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tests/bench/daemon.h"
#include "tests/bench/echo.h"
#include "tests/bench/peer.h"
#include "tests/bench/row.h"
#include "tests/bench/rpc_load.h"
#include "tests/bench/statistics.h"

namespace interpd::bench {
namespace {

constexpr char kInterpreter[] = "interpreters/bench";
constexpr int kInFlight = 64;
constexpr int kBatch = 64;
// The servers, each with a connection of its own.
struct Servers {
  EchoServer echo;
  EchoServer sleepy_echo;  // one that does not poll before it sleeps
  std::unique_ptr<Daemon> daemon;
  std::unique_ptr<v1::Interpreters::Stub> interpreters;
};

absl::StatusOr<Servers> StartServers() {
  Servers servers;
  absl::StatusOr<EchoServer> echo = EchoServer::Start();
  if (!echo.ok()) return echo.status();
  servers.echo = *std::move(echo);
  absl::StatusOr<EchoServer> sleepy = EchoServer::Start(EchoPolls::kNever);
  if (!sleepy.ok()) return sleepy.status();
  servers.sleepy_echo = *std::move(sleepy);

  absl::StatusOr<std::unique_ptr<Daemon>> daemon = Daemon::Start();
  if (!daemon.ok()) return daemon.status();
  servers.daemon = *std::move(daemon);
  servers.interpreters = v1::Interpreters::NewStub(Connect(servers.daemon->process().address()));
  if (absl::Status status = servers.daemon->Create("bench"); !status.ok()) return status;
  if (absl::Status status = servers.daemon->Exec("bench", "def nothing(): pass"); !status.ok()) return status;
  return servers;
}

bool IsNone(const v1::CallResponse& response) { return response.result().kind_case() == v1::Value::kNone; }

using EchoUnary = UnaryLoad<Empty, Empty>;
using CallUnary = UnaryLoad<v1::CallRequest, v1::CallResponse>;
using CallStream = StreamLoad<v1::CallStreamRequest, v1::CallStreamResponse>;

EchoUnary MakeEchoUnary(EchoServer& server) {
  auto prepare = [&](grpc::ClientContext* context, const Empty& request, grpc::CompletionQueue* queue) {
    return server.stub->PrepareAsyncCall(context, request, queue);
  };
  return EchoUnary(prepare, Empty(), [](const Empty&) { return true; });
}

CallUnary MakeCallUnary(Servers& servers) {
  v1::CallRequest request;
  request.set_name(kInterpreter);
  request.set_target("nothing");
  auto prepare = [&](grpc::ClientContext* context, const v1::CallRequest& request, grpc::CompletionQueue* queue) {
    return servers.interpreters->PrepareAsyncCall(context, request, queue);
  };
  return CallUnary(prepare, request, IsNone);
}

CallStream MakeCallStream(Servers& servers) {
  auto prepare = [&](grpc::ClientContext* context, grpc::CompletionQueue* queue) {
    return servers.interpreters->PrepareAsyncCallStream(context, queue);
  };
  auto make = [](int batch, bool first) {
    v1::CallStreamRequest request;
    if (first) request.mutable_options()->set_name(kInterpreter);
    for (int i = 0; i < batch; ++i) {
      v1::CallStreamRequest::Item* item = request.add_calls();
      item->set_id(i + 1);
      item->mutable_call()->set_target("nothing");
    }
    return request;
  };
  auto count = [](const v1::CallStreamResponse& response) -> absl::StatusOr<int> {
    for (const v1::CallStreamResponse::Item& item : response.results()) {
      if (!item.has_response() || !IsNone(item.response())) {
        return absl::InternalError(absl::StrCat("wrong answer in a stream: ", item.ShortDebugString()));
      }
    }
    return response.results_size();
  };
  return CallStream(prepare, make, count);
}

absl::StatusOr<std::vector<Row>> MeasureUnary(const Options& options) {
  absl::StatusOr<Servers> servers = StartServers();
  if (!servers.ok()) return servers.status();
  EchoUnary echo = MakeEchoUnary(servers->echo);
  EchoUnary sleepy_echo = MakeEchoUnary(servers->sleepy_echo);
  CallUnary call = MakeCallUnary(*servers);
  std::map<int, Pairs> p50, rate, sleepy_p50, sleepy_rate;
  for (int round = -1; round < options.rounds; ++round) {
    for (int in_flight : {1, kInFlight}) {
      absl::StatusOr<Load> peer = echo.Run(in_flight, options.round_time);
      if (!peer.ok()) return peer.status();
      absl::StatusOr<Load> ours = call.Run(in_flight, options.round_time);
      if (!ours.ok()) return ours.status();
      absl::StatusOr<Load> sleepy = sleepy_echo.Run(in_flight, options.round_time);
      if (!sleepy.ok()) return sleepy.status();
      if (round < 0) continue;  // warms all up
      p50[in_flight].Add(Median(ours->microseconds), Median(peer->microseconds));
      rate[in_flight].Add(ours->per_second, peer->per_second);
      sleepy_p50[in_flight].Add(Median(ours->microseconds), Median(sleepy->microseconds));
      sleepy_rate[in_flight].Add(ours->per_second, sleepy->per_second);
    }
  }
  auto latency_row = [](const Pairs& pairs, const char* peer, const char* goal) {
    return Row{"unary Call, one at a time, p50",
               Median(pairs.ours),
               "us",
               peer,
               Median(pairs.peer),
               pairs.ratio(),
               goal,
               pairs.ratio() <= 1.3};
  };
  auto rate_row = [](const Pairs& pairs, const char* peer, const char* goal) {
    return Row{"unary Call, 64 in flight", Median(pairs.ours), "1/s", peer,
               Median(pairs.peer),         pairs.ratio(),      goal,  pairs.ratio() >= 0.8};
  };
  return std::vector<Row>{
      latency_row(p50[1], "echo", "<= 1.3"),
      latency_row(sleepy_p50[1], "echo that never polls", ""),
      rate_row(rate[kInFlight], "echo", ">= 0.8"),
      rate_row(sleepy_rate[kInFlight], "echo that never polls", ""),
  };
}

absl::StatusOr<std::vector<Row>> MeasureStream(const Options& options) {
  absl::StatusOr<Servers> servers = StartServers();
  if (!servers.ok()) return servers.status();
  EchoStream echo = MakeEchoStream(servers->echo);
  CallStream call = MakeCallStream(*servers);
  std::map<int, Pairs> rate;
  Pairs executor;
  for (int round = -1; round < options.rounds; ++round) {
    double tiny_calls = 0;
    for (int batch : {1, kBatch}) {
      absl::StatusOr<double> peer = echo.Run(kInFlight, batch, options.round_time);
      if (!peer.ok()) return peer.status();
      absl::StatusOr<double> ours = call.Run(kInFlight, batch, options.round_time);
      if (!ours.ok()) return ours.status();
      if (round >= 0) rate[batch].Add(*ours, *peer);
      if (batch == kBatch) tiny_calls = *ours;
    }
    if (round < 0) continue;  // warms both up
    absl::StatusOr<nlohmann::json> pool =
        RunPythonPeer("pool_executor.py", {absl::StrFormat("%.2f", absl::ToDoubleSeconds(options.round_time))});
    if (!pool.ok()) return pool.status();
    const nlohmann::json& by_workers = (*pool)["per_second"];
    executor.Add(tiny_calls, std::max(by_workers["1"].get<double>(), by_workers["2"].get<double>()));
  }
  const Pairs& single = rate[1];
  const Pairs& batched = rate[kBatch];
  return std::vector<Row>{
      {"CallStream, 64 in flight, 1 call a message", Median(single.ours), "1/s", "echo stream", Median(single.peer),
       single.ratio(), ">= 0.8", single.ratio() >= 0.8},
      {"CallStream, 64 in flight, 64 calls a message", Median(batched.ours), "1/s", "echo stream", Median(batched.peer),
       batched.ratio(), ">= 0.5, or 500k/s", batched.ratio() >= 0.5 || Median(batched.ours) >= 500000},
      {"CallStream, 64 calls a message", Median(executor.ours), "1/s", "InterpreterPoolExecutor", Median(executor.peer),
       executor.ratio(), ">= 10", executor.ratio() >= 10},
  };
}

}  // namespace

std::vector<Measurement> RpcMeasurements() { return {{"unary Call", MeasureUnary}, {"CallStream", MeasureStream}}; }

}  // namespace interpd::bench
