// channel send, channel recv
#include <unistd.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/cli/channel_commands.h"
#include "client/cli/commands.h"
#include "client/cli/input_lines.h"
#include "client/cli/print.h"
#include "client/cli/progress.h"
#include "client/cli/value_json.h"

namespace interpd::client {
namespace {

// Values that recv asks for ahead of those it has printed.
constexpr int64_t kWindow = 256;

// How long the daemon may take to answer once we have told it to stop.
constexpr absl::Duration kStopTimeout = absl::Seconds(5);

// While it lives, the first Ctrl-C, or the end of --timeout, stops the stream: no value is lost by that. A second
// Ctrl-C cancels it, a third ends the program.
class Stoppable {
 public:
  // `on_stop` is called, on another thread, after a Ctrl-C has stopped the stream.
  Stoppable(
      Session& session, ChannelStream& stream, std::function<void()> on_stop = [] {})
      : session_(session), deadline_(absl::Now() + session.rpc().timeout) {
    previous_ = session_.interrupts().SetHandler([&session, &stream, on_stop = std::move(on_stop)](int count) {
      if (count == 1) {
        stream.Stop();
        on_stop();
      }
      if (count == 2) session.cancellation().Cancel();
      if (count > 2) _exit(session.interrupts().exit_code());
    });
    // A signal that came while we connected is not forgotten.
    if (interrupted()) stream.Stop();
  }
  ~Stoppable() { session_.interrupts().SetHandler(std::move(previous_)); }

  Stoppable(const Stoppable&) = delete;
  Stoppable& operator=(const Stoppable&) = delete;

  // Of --timeout.
  absl::Time deadline() const { return deadline_; }
  bool interrupted() const { return session_.interrupts().exit_code() != 0; }

 private:
  Session& session_;
  const absl::Time deadline_;
  Interrupts::Handler previous_;
};

// ---- send ----------------------------------------------------------------------------------------------------------

struct SendOptions {
  std::string name;
  std::vector<std::string> values;
  bool from_stdin = false;
};

// Sends the lines of standard input until it ends. An error names the line.
absl::Status SendLines(ChannelStream& stream, InputLines& lines, absl::Time deadline, Progress& progress) {
  for (;;) {
    absl::StatusOr<std::optional<std::string>> line = lines.Next(deadline);
    if (!line.ok()) return line.status();
    if (!line->has_value()) return absl::OkStatus();
    if (IsBlank(**line)) continue;
    absl::StatusOr<v1::Value> value = JsonToValue(**line);
    if (!value.ok()) {
      return absl::Status(value.status().code(), absl::StrCat("line ", lines.number(), ": ", value.status().message()));
    }
    if (absl::Status sent = stream.Send(*std::move(value), deadline - absl::Now()); !sent.ok()) return sent;
    progress.Show(stream.sent_count());
  }
}

absl::Status SendAll(ChannelStream& stream, std::vector<v1::Value> values, absl::Time deadline, Progress& progress) {
  for (v1::Value& value : values) {
    if (absl::Status sent = stream.Send(std::move(value), deadline - absl::Now()); !sent.ok()) return sent;
    progress.Show(stream.sent_count());
  }
  return absl::OkStatus();
}

int Send(Session& session, const SendOptions& options) {
  if (options.values.empty() != options.from_stdin) {
    return session.Fail(absl::InvalidArgumentError("say what to send: JSON... or --stdin"));
  }
  std::vector<v1::Value> values;
  for (size_t i = 0; i < options.values.size(); ++i) {
    absl::StatusOr<v1::Value> value = ArgumentToValue(options.values[i]);
    if (!value.ok()) {
      return session.Fail(
          absl::Status(value.status().code(), absl::StrCat("value ", i + 1, ": ", value.status().message())));
    }
    values.push_back(*std::move(value));
  }
  absl::StatusOr<Client*> client = session.client();
  if (!client.ok()) return session.Fail(client.status());
  ChannelStreamOptions stream_options;
  stream_options.send_to = options.name;
  std::unique_ptr<ChannelStream> stream =
      (*client)->OpenChannelStream(stream_options, {.cancellation = &session.cancellation()});
  absl::Status status = stream->WaitAttached();
  {
    InputLines lines(STDIN_FILENO, "standard input");
    Stoppable stoppable(session, *stream, [&lines] { lines.Interrupt(); });
    Progress progress(session, "sent", static_cast<int64_t>(values.size()));
    const absl::Time deadline = stoppable.deadline();
    if (status.ok() && options.from_stdin) {
      status = SendLines(*stream, lines, deadline, progress);
    } else if (status.ok()) {
      status = SendAll(*stream, std::move(values), deadline, progress);
    }
    // What was read before a bad line is sent; what the channel did not take in time is not.
    if (status.ok() || !absl::IsDeadlineExceeded(status)) {
      absl::Status flushed = stream->Flush(deadline - absl::Now());
      if (status.ok()) status = flushed;
    }
    if (absl::IsDeadlineExceeded(status)) stream->Stop();
    absl::Status finished = stream->Finish(kStopTimeout);
    if (!finished.ok()) status = finished;
  }
  if (session.json()) {
    v1::SendManyResponse response;
    response.set_sent_count(stream->sent_count());
    session.Out(JsonDocument(response));
  }
  if (status.ok()) return kOk;
  const int code = session.Fail(status);
  session.Err(absl::StrCat("interpctl: sent ", stream->sent_count(),
                           options.from_stdin ? "" : absl::StrCat(" of ", options.values.size()), " values\n"));
  return session.interrupts().exit_code() != 0 ? session.interrupts().exit_code() : code;
}

// ---- recv ----------------------------------------------------------------------------------------------------------

struct RecvOptions {
  std::string name;
  int64_t count = 1;
  bool follow = false;
  bool acknowledge = false;
  std::string policy;
  int64_t lag = 0;
};

void Print(Session& session, const std::vector<v1::Value>& values) {
  std::string text;
  for (const v1::Value& value : values) {
    absl::StrAppend(&text, session.json() ? MessageToJson(value) : ValueToJson(value), "\n");
  }
  session.Out(text);
}

int Recv(Session& session, const RecvOptions& options) {
  absl::StatusOr<Client*> client = session.client();
  if (!client.ok()) return session.Fail(client.status());
  ChannelStreamOptions stream_options;
  stream_options.receive_from = options.name;
  stream_options.acknowledge = options.acknowledge;
  stream_options.window = kWindow;
  if (!options.follow) stream_options.limit = options.count;
  if (!options.policy.empty() || options.lag != 0) {
    v1::Subscription& subscription = stream_options.subscription.emplace();
    subscription.set_capacity(options.lag);
    subscription.set_slow(options.policy == "drop-oldest"  ? v1::Subscription::DROP_OLDEST
                          : options.policy == "disconnect" ? v1::Subscription::DISCONNECT
                                                           : v1::Subscription::BLOCK);
  }
  std::unique_ptr<ChannelStream> stream =
      (*client)->OpenChannelStream(stream_options, {.cancellation = &session.cancellation()});
  Stoppable stoppable(session, *stream);
  absl::Status status;
  int64_t received = 0;
  bool timed_out = false;
  while (options.follow || received < options.count) {
    const absl::Duration wait = timed_out ? kStopTimeout : stoppable.deadline() - absl::Now();
    absl::StatusOr<std::vector<v1::Value>> values = stream->Receive(kWindow, wait);
    if (absl::IsDeadlineExceeded(values.status()) && !timed_out) {
      // What is on its way still comes, and is not lost.
      timed_out = true;
      stream->Stop();
      continue;
    }
    status = values.status();
    if (!status.ok() || values->empty()) break;
    // What is not printed any more goes back.
    if (options.acknowledge && stoppable.interrupted()) break;
    Print(session, *values);
    if (session.output_closed()) break;
    if (options.acknowledge) stream->Acknowledge();
    received += static_cast<int64_t>(values->size());
  }
  absl::Status finished = stream->Finish(kStopTimeout);
  if (stoppable.interrupted()) return session.interrupts().exit_code();
  if (status.ok()) status = finished;
  const std::string came = absl::StrCat(received, " of ", options.count, " values came");
  if (status.ok() && timed_out && (options.follow || received < options.count)) {
    status = absl::DeadlineExceededError(options.follow ? "the time has passed" : absl::StrCat(came, " in time"));
  }
  if (status.ok() && !options.follow && received < options.count) {
    status = absl::FailedPreconditionError(absl::StrCat("the channel ", options.name, " is closed and empty; ", came));
  }
  return status.ok() ? kOk : session.Fail(status);
}

}  // namespace

void AddSendCommand(CLI::App& channel, Session& session) {
  auto options = std::make_shared<SendOptions>();
  CLI::App* send = channel.add_subcommand("send", "Send values, and wait until they are in the channel");
  send->add_option(kChannelPlaceholder, options->name, "Name of the channel")->type_name("")->required();
  CLI::Option* values = send->add_option("JSON", options->values, "Values: JSON, or else a string")->type_name("");
  send->add_flag("--stdin", options->from_stdin, "Send the lines of standard input, each a value in JSON")
      ->excludes(values);
  send->usage("interpctl channel send CHANNEL (JSON... | --stdin) [OPTIONS]");
  send->footer(
      "Waits while the channel is full; --timeout bounds that. When not all values were sent, the number of those "
      "that\n"
      "were stands on standard error. Values are written as for `interpctl call`; lines of white space are skipped.\n\n"
      "Examples:\n"
      "  interpctl channel send jobs 1 '{\"id\": 2}' text\n"
      "  jq -c '.[]' jobs.json | interpctl channel send jobs --stdin");
  send->callback([&session, options] { session.command = [&session, options] { return Send(session, *options); }; });
}

void AddRecvCommand(CLI::App& channel, Session& session) {
  auto options = std::make_shared<RecvOptions>();
  CLI::App* recv = channel.add_subcommand("recv", "Receive values and print them as JSON, one a line");
  recv->add_option(kChannelPlaceholder, options->name, "Name of the channel")->type_name("")->required();
  CLI::Option* count = recv->add_option("-n,--count", options->count, "Receive so many; without it one")
                           ->type_name("N")
                           ->check(CLI::Range(int64_t{1}, int64_t{1} << 40).description(""));
  recv->add_flag("-f,--follow", options->follow, "Go on until the channel is closed and empty, or Ctrl-C")
      ->excludes(count);
  recv->add_flag(
      "--ack", options->acknowledge,
      "Acknowledge values once they are printed: should this program die, the others go back to the channel");
  recv->add_option(
          "--policy", options->policy,
          "Broadcast: what happens once as many values as --lag says wait for us: senders wait (the default),\n"
          "we lose the oldest, or we are let go")
      ->type_name("block|drop-oldest|disconnect")
      ->check(CLI::IsMember({"block", "drop-oldest", "disconnect"}).description(""));
  recv->add_option("--lag", options->lag, "Broadcast: values that may wait for us; without it 1024")
      ->type_name("N")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 20).description(""));
  recv->usage("interpctl channel recv CHANNEL [-n N | --follow] [--ack] [--policy POLICY] [--lag N] [OPTIONS]");
  recv->footer(
      "Waits for values; --timeout bounds that in all. The exit code is 6 when the time passed before N values came, "
      "and\n"
      "5 when the channel was closed before. Ctrl-C and --timeout lose no value: what is on its way is printed, or "
      "with\n"
      "--ack stays in the channel. On a broadcast it gets what is sent from now on.\n\n"
      "Examples:\n"
      "  interpctl channel recv results -n 10 --timeout 5s\n"
      "  interpctl channel recv results --follow --ack | while read -r line; do echo \"$line\"; done");
  recv->callback([&session, options] { session.command = [&session, options] { return Recv(session, *options); }; });
}

}  // namespace interpd::client
