// The job commands, by the files they are in; the group takes them in.
//
// Who includes this: the files that hold the job commands.
#ifndef INTERPD_CLIENT_CLI_JOB_COMMANDS_H_
#define INTERPD_CLIENT_CLI_JOB_COMMANDS_H_

#include <CLI/CLI.hpp>

#include "client/cli/session.h"

namespace interpd::client {

void AddJobSubmitCommand(CLI::App& job, Session& session);
void AddJobRunCommand(CLI::App& job, Session& session);
void AddJobWaitCommand(CLI::App& job, Session& session);
void AddJobLogsCommand(CLI::App& job, Session& session);
void AddJobResultsCommand(CLI::App& job, Session& session);

}  // namespace interpd::client

#endif  // INTERPD_CLIENT_CLI_JOB_COMMANDS_H_
