// What metrics cost: the same calls on a daemon that is scraped, and on one that has no listener for metrics.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "tests/bench/daemon.h"
#include "tests/bench/row.h"
#include "tests/bench/rpc_load.h"
#include "tests/bench/statistics.h"

namespace interpd::bench {
namespace {

constexpr int kInFlight = 64;
// Prometheus scrapes every 15 seconds as it comes.
constexpr absl::Duration kScrapeEvery = absl::Milliseconds(500);
constexpr int kInterpreters = 100;

sockaddr_in Loopback(uint16_t port) {
  return {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
}

// A port that was free a moment ago.
uint16_t FreePort() {
  sockaddr_in address = Loopback(0);
  socklen_t length = sizeof(address);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address));
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length);
  close(fd);
  return ntohs(address.sin_port);
}

// The whole answer to one scrape.
std::string Scrape(uint16_t port) {
  sockaddr_in address = Loopback(port);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  std::string answer;
  constexpr std::string_view kRequest = "GET /metrics HTTP/1.0\r\n\r\n";
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0 &&
      write(fd, kRequest.data(), kRequest.size()) == static_cast<ssize_t>(kRequest.size())) {
    char buffer[65536];
    for (ssize_t count; (count = read(fd, buffer, sizeof(buffer))) > 0;) answer.append(buffer, count);
  }
  close(fd);
  return answer;
}

absl::StatusOr<std::unique_ptr<Daemon>> StartDaemon(const std::vector<std::string>& args) {
  absl::StatusOr<std::unique_ptr<Daemon>> daemon = Daemon::Start(args);
  if (!daemon.ok()) return daemon;
  for (int i = 0; i < kInterpreters; ++i) {
    if (absl::Status made = (*daemon)->Create(absl::StrCat("w", i)); !made.ok()) return made;
  }
  if (absl::Status status = (*daemon)->Exec("w0", "def nothing(): pass"); !status.ok()) return status;
  return daemon;
}

absl::StatusOr<double> Rate(v1::Interpreters::Stub& stub, absl::Duration time) {
  v1::CallRequest request;
  request.set_name("interpreters/w0");
  request.set_target("nothing");
  auto prepare = [&stub](grpc::ClientContext* context, const v1::CallRequest& request, grpc::CompletionQueue* queue) {
    return stub.PrepareAsyncCall(context, request, queue);
  };
  UnaryLoad<v1::CallRequest, v1::CallResponse> load(prepare, request, [](const v1::CallResponse& response) {
    return response.result().kind_case() == v1::Value::kNone;
  });
  absl::StatusOr<Load> done = load.Run(kInFlight, time);
  if (!done.ok()) return done.status();
  return done->per_second;
}

absl::StatusOr<std::vector<Row>> MeasureMetrics(const Options& options) {
  const uint16_t port = FreePort();
  absl::StatusOr<std::unique_ptr<Daemon>> with = StartDaemon({"--metrics-listen", absl::StrCat("127.0.0.1:", port)});
  if (!with.ok()) return with.status();
  absl::StatusOr<std::unique_ptr<Daemon>> without = StartDaemon({});
  if (!without.ok()) return without.status();
  if (Scrape(port).find("interpd_work_completed_total") == std::string::npos)
    return absl::InternalError("nothing to scrape");
  std::unique_ptr<v1::Interpreters::Stub> stub_with = v1::Interpreters::NewStub(Connect((*with)->process().address()));
  std::unique_ptr<v1::Interpreters::Stub> stub_without =
      v1::Interpreters::NewStub(Connect((*without)->process().address()));

  Pairs pairs;
  // Short turns, many of them: what is looked for is smaller than what a minute brings.
  for (int round = -1; round < 4 * options.rounds; ++round) {
    absl::StatusOr<double> reference = Rate(*stub_without, options.round_time / 2);
    if (!reference.ok()) return reference.status();
    absl::Notification over;
    std::thread scraper([&] {
      do {
        Scrape(port);
      } while (!over.WaitForNotificationWithTimeout(kScrapeEvery));
    });
    absl::StatusOr<double> ours = Rate(*stub_with, options.round_time / 2);
    over.Notify();
    scraper.join();
    if (!ours.ok()) return ours.status();
    if (round >= 0) pairs.Add(*ours, *reference);
  }
  return std::vector<Row>{{"unary Call, 64 in flight, scraped twice a second", Median(pairs.ours), "1/s",
                           "no listener for metrics", Median(pairs.peer), pairs.ratio(), ">= 0.98",
                           pairs.ratio() >= 0.98}};
}

}  // namespace

std::vector<Measurement> MetricsMeasurements() { return {{"metrics", MeasureMetrics}}; }

}  // namespace interpd::bench
