// The options of a job in a comment block of its script, as PEP 723 has such blocks:
//
//   # /// interpd
//   # glob = "photos/*.jpg"
//   # parallel = 4
//   # retries = 2
//   # ///
//
// Who includes this: the commands that submit scripts.
//
// What stands between is TOML; its keys are the long names of the flags of `interpctl job submit`. Relative paths are
// relative to the script's directory.
#ifndef INTERPD_CLIENT_CLI_SCRIPT_HEADER_H_
#define INTERPD_CLIENT_CLI_SCRIPT_HEADER_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "client/cli/job_settings.h"

namespace interpd::client {

// What the block of `script` says; empty if it has none. `name` is what errors call the file, with the line behind it;
// `directory` is the script's.
absl::StatusOr<JobSettings> ReadScriptHeader(std::string_view script, const std::string& name,
                                             const std::string& directory);

}  // namespace interpd::client

#endif  // INTERPD_CLIENT_CLI_SCRIPT_HEADER_H_
