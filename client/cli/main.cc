// interpctl: interpd from the command line.
#include <absl/log/globals.h>
#include <absl/log/initialize.h>

#include <string>
#include <vector>

#include "client/cli/app.h"
#include "client/cli/interrupts.h"
#include "client/cli/session.h"

int main(int argc, char** argv) {
  using namespace interpd::client;
  absl::InitializeLog();
  Interrupts interrupts;
  Session session(interrupts);
  std::unique_ptr<CLI::App> app = BuildApp(session);
  std::vector<std::string> args(argv + (argc > 0 ? 1 : 0), argv + argc);
  if (std::optional<int> code = ParseCommandLine(*app, session, std::move(args))) return session.FinalExitCode(*code);
  return session.FinalExitCode(session.command());
}
