// The command line of interpctl: its tree of commands and options, and how it is read.
//
// Who includes this: main, the completion command, and tests of what the tree holds.
#ifndef INTERPD_CLIENT_CLI_APP_H_
#define INTERPD_CLIENT_CLI_APP_H_

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "client/cli/session.h"

namespace interpd::client {

inline constexpr char kVersion[] = "0.1.0";

// The tree. Must not outlive the session.
std::unique_ptr<CLI::App> BuildApp(Session& session);

// Reads a command line (without the program's name) into the session. An exit code means that there is nothing left to
// do: help was printed, or what is wrong.
std::optional<int> ParseCommandLine(CLI::App& app, Session& session, std::vector<std::string> args);

// Cuts off what stands behind FILE or `-c CODE` of exec, run, job submit and job run, and returns it: it belongs to the
// script, even where it looks like an option of ours.
std::vector<std::string> CutScriptArgs(const CLI::App& app, std::vector<std::string>& args);

// The command whose name is nearest to `word`, if any is near.
std::string NearestCommand(const CLI::App& app, std::string_view word);

}  // namespace interpd::client

#endif  // INTERPD_CLIENT_CLI_APP_H_
