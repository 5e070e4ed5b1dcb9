// channel send and channel recv, which the group of channel commands takes in.
//
// Who includes this: the files that hold the channel commands.
#ifndef INTERPD_CLIENT_CLI_CHANNEL_COMMANDS_H_
#define INTERPD_CLIENT_CLI_CHANNEL_COMMANDS_H_

#include <CLI/CLI.hpp>

#include "client/cli/session.h"

namespace interpd::client {

void AddSendCommand(CLI::App& channel, Session& session);
void AddRecvCommand(CLI::App& channel, Session& session);

}  // namespace interpd::client

#endif  // INTERPD_CLIENT_CLI_CHANNEL_COMMANDS_H_
