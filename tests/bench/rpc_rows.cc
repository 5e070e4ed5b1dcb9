// Rows of the gRPC interface: the daemon beside an empty echo server, each in a process of its own.
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "echo.grpc.pb.h"
#include "tests/bench/daemon.h"
#include "tests/bench/peer.h"
#include "tests/bench/row.h"
#include "tests/bench/rpc_load.h"
#include "tests/bench/statistics.h"

namespace interpd::bench {
namespace {

constexpr char kInterpreter[] = "interpreters/bench";
constexpr int kInFlight = 64;
constexpr int kBatch = 64;

// Both servers, each with an interpreter or an echo behind a connection of its own.
struct Servers {
  std::unique_ptr<ServerProcess> echo_process;
  std::unique_ptr<Echo::Stub> echo;
  std::unique_ptr<Daemon> daemon;
  std::unique_ptr<v1::Interpreters::Stub> interpreters;
};

absl::StatusOr<Servers> StartServers() {
  Servers servers;
  absl::StatusOr<std::unique_ptr<ServerProcess>> echo = ServerProcess::Start({RunfilePath("tests/bench/echo_server")});
  if (!echo.ok()) return echo.status();
  servers.echo_process = *std::move(echo);
  servers.echo = Echo::NewStub(Connect(servers.echo_process->address()));

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
using EchoStream = StreamLoad<Batch, Batch>;
using CallStream = StreamLoad<v1::CallStreamRequest, v1::CallStreamResponse>;

EchoUnary MakeEchoUnary(Servers& servers) {
  auto prepare = [&](grpc::ClientContext* context, const Empty& request, grpc::CompletionQueue* queue) {
    return servers.echo->PrepareAsyncCall(context, request, queue);
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

EchoStream MakeEchoStream(Servers& servers) {
  auto prepare = [&](grpc::ClientContext* context, grpc::CompletionQueue* queue) {
    return servers.echo->PrepareAsyncStream(context, queue);
  };
  auto make = [](int batch, bool) {
    Batch request;
    for (int i = 0; i < batch; ++i) request.add_items()->set_id(i + 1);
    return request;
  };
  return EchoStream(prepare, make, [](const Batch& batch) { return batch.items_size(); });
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
  EchoUnary echo = MakeEchoUnary(*servers);
  CallUnary call = MakeCallUnary(*servers);
  std::map<int, Pairs> p50, rate;
  for (int round = -1; round < options.rounds; ++round) {
    for (int in_flight : {1, kInFlight}) {
      absl::StatusOr<Load> peer = echo.Run(in_flight, options.round_time);
      if (!peer.ok()) return peer.status();
      absl::StatusOr<Load> ours = call.Run(in_flight, options.round_time);
      if (!ours.ok()) return ours.status();
      if (round < 0) continue;  // warms both up
      p50[in_flight].Add(Median(ours->microseconds), Median(peer->microseconds));
      rate[in_flight].Add(ours->per_second, peer->per_second);
    }
  }
  const Pairs& alone = p50[1];
  const Pairs& many = rate[kInFlight];
  return std::vector<Row>{
      {"unary Call, one at a time, p50", Median(alone.ours), "us", "echo", Median(alone.peer), alone.ratio(), "<= 1.3",
       alone.ratio() <= 1.3},
      {"unary Call, 64 in flight", Median(many.ours), "1/s", "echo", Median(many.peer), many.ratio(), ">= 0.8",
       many.ratio() >= 0.8},
  };
}

absl::StatusOr<std::vector<Row>> MeasureStream(const Options& options) {
  absl::StatusOr<Servers> servers = StartServers();
  if (!servers.ok()) return servers.status();
  EchoStream echo = MakeEchoStream(*servers);
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
