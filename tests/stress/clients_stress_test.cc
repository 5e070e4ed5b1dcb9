// Many clients create, exec, call, cancel, die and close at random; then the daemon's books must balance.
//
// INTERPD_STRESS_SECONDS says how long (20), INTERPD_STRESS_SEED repeats a run's choices.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <iostream>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/time/clock.h"
#include "interpd/v1/channels.grpc.pb.h"
#include "tests/bench/daemon.h"
#include "tests/bench/rpc_load.h"
#include "tests/stress/client.h"

namespace interpd::stress {
namespace {

constexpr int kClients = 8;
// gRPC starts and keeps a few threads of its own under load.
constexpr int64_t kThreadsOfGrpc = 8;
// Freed memory that malloc keeps; a leaked interpreter is 1.8 MB, and hundreds are made.
#if defined(__SANITIZE_ADDRESS__)
constexpr int64_t kQuarantine = 256 << 20;  // AddressSanitizer does not give freed memory back before there is so much
#else
constexpr int64_t kQuarantine = 0;
#endif
constexpr int64_t kRssBound = 150'000'000 + kQuarantine;
constexpr absl::Duration kSettleLimit = absl::Seconds(30);

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  uint64_t number = 0;
  return text != nullptr && absl::SimpleAtoi(text, &number) ? number : otherwise;
}

void CloseAll(bench::Daemon& daemon) {
  grpc::ClientContext context;
  v1::ListRequest request;
  request.set_page_size(1000);
  v1::ListResponse response;
  ASSERT_TRUE(daemon.interpreters().List(&context, request, &response).ok());
  for (const v1::Interpreter& interpreter : response.interpreters()) {
    grpc::ClientContext close_context;
    v1::CloseRequest close;
    close.set_name(interpreter.name());
    close.mutable_grace_period();
    v1::Interpreter closed;
    const grpc::Status status = daemon.interpreters().Close(&close_context, close, &closed);
    EXPECT_TRUE(status.ok()) << interpreter.name() << ": " << status.error_message();
    EXPECT_EQ(closed.state(), v1::Interpreter::CLOSED) << interpreter.name();
  }
}

void CloseChannels(bench::Daemon& daemon) {
  auto channels = v1::Channels::NewStub(bench::Connect(daemon.process().address()));
  grpc::ClientContext context;
  v1::ListChannelsRequest request;
  request.set_page_size(1000);
  v1::ListChannelsResponse response;
  ASSERT_TRUE(channels->List(&context, request, &response).ok());
  for (const v1::Channel& channel : response.channels()) {
    grpc::ClientContext close_context;
    v1::CloseChannelRequest close;
    close.set_name(channel.name());
    close.set_discard(true);
    v1::Channel closed;
    const grpc::Status status = channels->Close(&close_context, close, &closed);
    EXPECT_TRUE(status.ok()) << channel.name() << ": " << status.error_message();
  }
}

bool Balanced(const v1::Info& now, const v1::Info& start) {
  return now.interpreter_count() == 0 && now.stuck_count() == 0 && now.pending_count() == 0 &&
         now.channel_count() == 0 && now.channel_value_count() == 0 &&
         now.threads() <= start.threads() + kThreadsOfGrpc && now.open_fds() <= start.open_fds();
}

TEST(ClientsStressTest, BooksBalance) {
  const uint64_t seed = FromEnvironment("INTERPD_STRESS_SEED", std::random_device()());
  const absl::Duration time = absl::Seconds(FromEnvironment("INTERPD_STRESS_SECONDS", 20));
  std::cout << "INTERPD_STRESS_SEED=" << seed << std::endl;

  auto started = bench::Daemon::Start();
  ASSERT_TRUE(started.ok()) << started.status();
  bench::Daemon& daemon = **started;
  // What a first interpreter brings with it stays and is no leak.
  ASSERT_TRUE(daemon.Create("first").ok());
  ASSERT_TRUE(daemon.Exec("first", "import asyncio, subprocess, threading").ok());
  ASSERT_TRUE(daemon.Close("first").ok());
  auto start = daemon.GetInfo();
  ASSERT_TRUE(start.ok()) << start.status();

  std::map<std::string, int> successes;
  {
    std::vector<Client> clients;
    for (int i = 0; i < kClients; ++i) clients.emplace_back(daemon.process().address(), seed + i);
    std::atomic<bool> failed{false};
    std::vector<std::thread> threads;
    const absl::Time end = absl::Now() + time;
    for (Client& client : clients) {
      threads.emplace_back([&] {
        while (absl::Now() < end && !failed) {
          if (absl::Status status = client.Step(); !status.ok()) {
            ADD_FAILURE() << status;
            failed = true;
          }
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    for (const Client& client : clients) {
      for (const auto& [operation, count] : client.successes()) successes[operation] += count;
    }
  }
  for (const auto& [operation, count] : successes) std::cout << operation << ": " << count << "\n";
  EXPECT_EQ(successes.size(), Client::operations()) << "some operation never succeeded";

  CloseAll(daemon);
  CloseChannels(daemon);
  // The daemon sees a closed connection only some time after the client's end of it is gone, and tells nobody.
  auto now = daemon.GetInfo();
  for (const absl::Time limit = absl::Now() + kSettleLimit; absl::Now() < limit;
       absl::SleepFor(absl::Milliseconds(20))) {
    now = daemon.GetInfo();
    if (!now.ok() || Balanced(*now, *start)) break;
  }
  ASSERT_TRUE(now.ok()) << now.status();
  EXPECT_EQ(now->interpreter_count(), 0);
  EXPECT_EQ(now->stuck_count(), 0);
  EXPECT_EQ(now->pending_count(), 0);
  EXPECT_EQ(now->channel_count(), 0);
  EXPECT_EQ(now->channel_value_count(), 0);
  EXPECT_LE(now->open_fds(), start->open_fds());
  EXPECT_LE(now->threads(), start->threads() + kThreadsOfGrpc);
  EXPECT_LE(now->rss_bytes(), start->rss_bytes() + kRssBound);
  EXPECT_GT(now->completed_count(), start->completed_count());
  auto use = daemon.Use();
  ASSERT_TRUE(use.ok()) << use.status();
  EXPECT_LE(use->threads, start->threads() + kThreadsOfGrpc);
  EXPECT_LE(use->open_fds, start->open_fds());
  std::cout << "threads " << start->threads() << " -> " << use->threads << ", fds " << start->open_fds() << " -> "
            << use->open_fds << ", RSS " << start->rss_bytes() / 1'000'000 << " -> " << use->rss_bytes / 1'000'000
            << " MB" << std::endl;

  auto exit_code = daemon.process().Terminate(absl::Seconds(20));
  ASSERT_TRUE(exit_code.ok()) << exit_code.status();
  EXPECT_EQ(*exit_code, 0);
}

}  // namespace
}  // namespace interpd::stress
