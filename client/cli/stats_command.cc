// stats
#include <unistd.h>

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "client/cli/commands.h"
#include "client/cli/print.h"
#include "client/cli/stats_print.h"

namespace interpd::client {
namespace {

struct StatsOptions {
  bool watch = false;
  std::string every = "2s";
};

// Clears a terminal and goes to its upper left corner.
constexpr char kClear[] = "\x1b[H\x1b[2J";

int Stats(Session& session, const StatsOptions& options) {
  absl::StatusOr<Client*> client = session.client();
  if (!client.ok()) return session.Fail(client.status());
  absl::Notification ended;
  Interrupts::Handler before;
  if (options.watch) {
    before = session.interrupts().SetHandler([&](int count) {
      session.cancellation().Cancel();
      if (count == 1) ended.Notify();
    });
  }
  int code = kOk;
  do {
    absl::StatusOr<v1::Stats> stats = (*client)->GetStats(session.rpc());
    if (!stats.ok()) {
      code = session.Fail(stats.status());
      break;
    }
    if (session.json()) {
      session.Out(options.watch ? MessageToJson(*stats) + "\n" : JsonDocument(*stats));
    } else {
      session.Out(absl::StrCat(options.watch && isatty(STDOUT_FILENO) ? kClear : "", StatsTables(*stats)));
    }
  } while (options.watch && !session.output_closed() &&
           !ended.WaitForNotificationWithTimeout(*ParseDuration(options.every)));
  if (options.watch) session.interrupts().SetHandler(std::move(before));
  return code;
}

}  // namespace

void AddStatsCommand(CLI::App& app, Session& session) {
  auto options = std::make_shared<StatsOptions>();
  CLI::App* stats = app.add_subcommand("stats", "Show what the daemon has counted and measured");
  stats->add_flag("--watch", options->watch, "Again and again, until Ctrl-C");
  stats->add_option("--every", options->every, "How often with --watch (default: 2s)")
      ->type_name("TIME")
      ->check(IsDuration());
  stats->usage("interpctl stats [--watch [--every TIME]] [OPTIONS]");
  stats->footer(
      "Requests and how long they took, interpreters, channels, constants, the process: what the daemon also gives to\n"
      "Prometheus. Of the times, median and 99% are given as the nearest power of two above. With --watch and -o "
      "json,\n"
      "one document a line.\n\n"
      "Examples:\n"
      "  interpctl stats\n"
      "  interpctl stats --watch --every 5s");
  stats->callback([&session, options] { session.command = [&session, options] { return Stats(session, *options); }; });
}

}  // namespace interpd::client
