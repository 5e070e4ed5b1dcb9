// The echo server as a child, and the load that it is put under.
//
// Who includes this: the rows that hold gRPC against it. Thread safety: none.
#ifndef INTERPD_TESTS_BENCH_ECHO_H_
#define INTERPD_TESTS_BENCH_ECHO_H_

#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "echo.grpc.pb.h"
#include "tests/bench/child_process.h"
#include "tests/bench/rpc_load.h"

namespace interpd::bench {

// How long it polls before it sleeps: as long as the daemon does, or not at all.
enum class EchoPolls { kAsDaemon, kNever };

struct EchoServer {
  std::unique_ptr<ServerProcess> process;
  std::unique_ptr<Echo::Stub> stub;

  static absl::StatusOr<EchoServer> Start(EchoPolls polls = EchoPolls::kAsDaemon) {
    auto process = ServerProcess::Start(
        {RunfilePath("tests/bench/echo_server"), "--poll", polls == EchoPolls::kAsDaemon ? "50" : "0"});
    if (!process.ok()) return process.status();
    EchoServer server;
    server.process = *std::move(process);
    server.stub = Echo::NewStub(Connect(server.process->address()));
    return server;
  }
};

using EchoStream = StreamLoad<Batch, Batch>;

inline EchoStream MakeEchoStream(EchoServer& server) {
  auto prepare = [&](grpc::ClientContext* context, grpc::CompletionQueue* queue) {
    return server.stub->PrepareAsyncStream(context, queue);
  };
  auto make = [](int batch, bool) {
    Batch request;
    for (int i = 0; i < batch; ++i) request.add_items()->set_id(i + 1);
    return request;
  };
  return EchoStream(prepare, make, [](const Batch& batch) { return batch.items_size(); });
}

}  // namespace interpd::bench

#endif  // INTERPD_TESTS_BENCH_ECHO_H_
