// The commands of interpctl, by group. Each function adds its group's commands to the tree; the parse of a command line
// then leaves what is to be done in Session::command.
//
// Who includes this: app.cc, and the files that hold the commands.
#ifndef INTERPD_CLIENT_CLI_COMMANDS_H_
#define INTERPD_CLIENT_CLI_COMMANDS_H_

#include <CLI/CLI.hpp>

#include "client/cli/session.h"

namespace interpd::client {

void AddInterpreterCommands(CLI::App& app, Session& session);  // create list get close interrupt
void AddCodeCommands(CLI::App& app, Session& session);         // exec run call
void AddReplCommand(CLI::App& app, Session& session);          // repl
void AddChannelCommands(CLI::App& app, Session& session);      // channel create list get send recv close stats
void AddConstantCommands(CLI::App& app, Session& session);     // constant put get list delete
void AddJobCommands(CLI::App& app, Session& session);          // job submit run list get wait logs results cancel ...
void AddTokenCommands(CLI::App& app, Session& session);        // token create list revoke
void AddDaemonCommands(CLI::App& app, Session& session);       // info drain logs
void AddStatsCommand(CLI::App& app, Session& session);         // stats
void AddCompletionCommand(CLI::App& app, Session& session);    // completion

// What the name of a positional argument, or the type name of an option's value, says about how to complete it.
inline constexpr char kInterpreterPlaceholder[] = "NAME";
inline constexpr char kChannelPlaceholder[] = "CHANNEL";
inline constexpr char kConstantPlaceholder[] = "CONSTANT";
inline constexpr char kJobPlaceholder[] = "JOB";
inline constexpr char kFilePlaceholder[] = "FILE";
inline constexpr char kDirectoryPlaceholder[] = "DIR";

// Refuses what ParseDuration does not read.
CLI::Validator IsDuration();

}  // namespace interpd::client

#endif  // INTERPD_CLIENT_CLI_COMMANDS_H_
