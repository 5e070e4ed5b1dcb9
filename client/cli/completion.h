// Shell completion scripts, made from the command tree itself so that they never lag behind it.
//
// Who includes this: the completion command, and its test.
//
// Names of interpreters and channels are asked from the daemon (`interpctl list -q`, `interpctl channel list -q`) while
// the user types.
#ifndef INTERPD_CLIENT_CLI_COMPLETION_H_
#define INTERPD_CLIENT_CLI_COMPLETION_H_

#include <CLI/CLI.hpp>
#include <string>

namespace interpd::client {

std::string BashCompletion(const CLI::App& app);
std::string ZshCompletion(const CLI::App& app);
std::string FishCompletion(const CLI::App& app);

}  // namespace interpd::client

#endif  // INTERPD_CLIENT_CLI_COMPLETION_H_
