// info drain logs
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/cli/commands.h"
#include "client/cli/files.h"
#include "client/cli/print.h"

namespace interpd::client {
namespace {

int Info(Session& session) {
  absl::StatusOr<Client*> client = session.client();
  if (!client.ok()) return session.Fail(client.status());
  absl::StatusOr<v1::Info> info = (*client)->GetInfo(session.rpc());
  if (!info.ok()) return session.Fail(info.status());
  session.Out(session.json() ? JsonDocument(*info) : InfoFields(*info, absl::Now()));
  return kOk;
}

int Drain(Session& session, const std::string& grace) {
  absl::StatusOr<Client*> client = session.client();
  if (!client.ok()) return session.Fail(client.status());
  v1::DrainRequest request;
  if (!grace.empty()) SetDuration(*ParseDuration(grace), *request.mutable_grace_period());
  absl::StatusOr<v1::DrainResponse> response = (*client)->Drain(request, session.rpc());
  if (!response.ok()) return session.Fail(response.status());
  if (session.json()) {
    session.Out(JsonDocument(*response));
  } else if (!session.options.quiet) {
    session.Err("the daemon drains: it takes no new work and exits when what runs has ended\n");
  }
  return kOk;
}

int Logs(Session& session, const std::string& name, bool follow) {
  absl::StatusOr<Client*> client = session.client();
  if (!client.ok()) return session.Fail(client.status());
  v1::LogsRequest request;
  request.set_name(name);
  request.set_follow(follow);
  auto on_entry = [&session](const v1::LogsResponse& entry) {
    if (session.json()) {
      session.Out(MessageToJson(entry) + "\n");
      return;
    }
    if (entry.dropped_bytes() > 0) {
      session.Err(absl::StrCat("interpctl: ", entry.dropped_bytes(), " bytes of log were dropped here\n"));
    }
    // The log is the result here, whichever stream the interpreter wrote to.
    session.Out(entry.output().data());
  };
  absl::Status status = (*client)->Logs(request, on_entry, session.rpc());
  return status.ok() ? kOk : session.Fail(status);
}

}  // namespace

void AddDaemonCommands(CLI::App& app, Session& session) {
  {
    CLI::App* info = app.add_subcommand("info", "Show what the daemon is and how it fares");
    info->usage("interpctl info [OPTIONS]");
    info->footer("Example:\n  interpctl info -o json");
    info->callback([&session] { session.command = [&session] { return Info(session); }; });
  }
  {
    auto grace = std::make_shared<std::string>();
    CLI::App* drain = app.add_subcommand("drain", "Shut the daemon down cleanly, as SIGTERM does");
    drain->add_option("--grace", *grace, "How long what runs may go on; without it as the daemon is configured")
        ->type_name("TIME")
        ->check(IsDuration());
    drain->usage("interpctl drain [--grace TIME] [OPTIONS]");
    drain->footer("Returns at once.\n\nExample:\n  interpctl drain --grace 30s");
    drain->callback([&session, grace] { session.command = [&session, grace] { return Drain(session, *grace); }; });
  }
  {
    auto name = std::make_shared<std::string>();
    auto follow = std::make_shared<bool>(false);
    CLI::App* logs = app.add_subcommand("logs", "Print what an interpreter wrote while no exec or call ran");
    logs->add_option(kInterpreterPlaceholder, *name, "Name of the interpreter")->type_name("")->required();
    logs->add_flag("-f,--follow", *follow, "Go on until the interpreter is closed or Ctrl-C");
    logs->usage("interpctl logs NAME [--follow] [OPTIONS]");
    logs->footer(
        "Its background threads and child processes write here. With -o json every line is a document.\n\n"
        "Example:\n"
        "  interpctl logs worker --follow");
    logs->callback([&session, name, follow] {
      session.command = [&session, name, follow] { return Logs(session, *name, *follow); };
    });
  }
}

}  // namespace interpd::client
