// Rows of channels over gRPC: Attach beside an empty echo stream, each server in a process of its own.
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "interpd/v1/channels.grpc.pb.h"
#include "tests/bench/daemon.h"
#include "tests/bench/echo.h"
#include "tests/bench/row.h"
#include "tests/bench/rpc_load.h"
#include "tests/bench/statistics.h"

namespace interpd::bench {
namespace {

constexpr char kChannel[] = "channels/bench";
constexpr int kInFlight = 64;

using AttachStream = StreamLoad<v1::AttachRequest, v1::AttachResponse>;

// Sends small ints into a channel, and receives them from it over the same stream.
v1::AttachRequest MakeRequest(int batch, bool first) {
  v1::AttachRequest request;
  if (first) {
    request.mutable_options()->set_send_to(kChannel);
    request.mutable_options()->set_receive_from(kChannel);
  }
  v1::ValueBatch::Ints* ints = request.mutable_values()->add_runs()->mutable_ints();
  for (int i = 0; i < batch; ++i) ints->add_items(i + 1);
  request.set_credit(batch);
  return request;
}

AttachStream MakeAttach(v1::Channels::Stub& channels) {
  auto prepare = [&](grpc::ClientContext* context, grpc::CompletionQueue* queue) {
    return channels.PrepareAsyncAttach(context, queue);
  };
  auto count = [](const v1::AttachResponse& response) -> absl::StatusOr<int> {
    int values = 0;
    for (const v1::ValueBatch::Run& run : response.values().runs()) {
      if (!run.has_ints()) return absl::InternalError(absl::StrCat("wrong values: ", run.ShortDebugString()));
      values += run.ints().items_size();
    }
    return values;
  };
  return AttachStream(prepare, MakeRequest, count);
}

absl::StatusOr<std::vector<Row>> MeasureAttach(const Options& options) {
  absl::StatusOr<EchoServer> echo_server = EchoServer::Start();
  if (!echo_server.ok()) return echo_server.status();
  absl::StatusOr<std::unique_ptr<Daemon>> daemon = Daemon::Start();
  if (!daemon.ok()) return daemon.status();
  auto channels = v1::Channels::NewStub(Connect((*daemon)->process().address()));
  grpc::ClientContext context;
  v1::CreateChannelRequest create;
  create.set_channel_id("bench");
  v1::Channel made;
  if (grpc::Status status = channels->Create(&context, create, &made); !status.ok()) return ToAbsl(status);

  EchoStream echo = MakeEchoStream(*echo_server);
  AttachStream attach = MakeAttach(*channels);
  std::map<int, Pairs> rate;
  for (int round = -1; round < options.rounds; ++round) {
    for (int batch : {1, 64, 1024}) {
      absl::StatusOr<double> peer = echo.Run(kInFlight, batch, options.round_time);
      if (!peer.ok()) return peer.status();
      absl::StatusOr<double> ours = attach.Run(kInFlight, batch, options.round_time);
      if (!ours.ok()) return ours.status();
      if (round >= 0) rate[batch].Add(*ours, *peer);  // before that, both warm up
    }
  }
  auto row = [&](int batch, const char* goal, double least) {
    const Pairs& pairs = rate[batch];
    return Row{absl::StrCat("Attach, ", batch, " small int", batch == 1 ? "" : "s", " a message"),
               Median(pairs.ours),
               "1/s",
               "echo stream",
               Median(pairs.peer),
               pairs.ratio(),
               goal,
               Median(pairs.ours) >= least};
  };
  return std::vector<Row>{row(1, "", 0), row(64, ">= 1M/s", 1e6), row(1024, "", 0)};
}

}  // namespace

std::vector<Measurement> AttachMeasurements() { return {{"Attach", MeasureAttach}}; }

}  // namespace interpd::bench
