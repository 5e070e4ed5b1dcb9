// The exit codes of interpctl, in one table. Scripts rely on them; the man page lists the same.
//
// Who includes this: every command of interpctl.
#ifndef INTERPD_CLIENT_CLI_EXIT_CODE_H_
#define INTERPD_CLIENT_CLI_EXIT_CODE_H_

#include <cstdint>

#include "absl/status/status.h"

namespace interpd::client {

enum ExitCode : int {
  kOk = 0,
  // The Python code raised, or a job has failed. `exec`, `run` and `job run` end with the code of a SystemExit instead.
  kPythonRaised = 1,
  // The command line, or something that it asks for, is malformed.
  kUsage = 2,
  // No daemon answers at that address, or the connection broke.
  kNoDaemon = 3,
  // There is no such interpreter, channel, constant, job, function or file.
  kNotFound = 4,
  // The daemon refuses: a name that is taken, an interpreter that is closing, a limit, a daemon that drains.
  kRefused = 5,
  // The deadline (--timeout) passed, for `channel recv` before all values came; or somebody else cancelled the work.
  kTimeout = 6,
  // A defect, or output that cannot be written.
  kInternal = 7,
  // A job that was waited for was cancelled.
  kJobCancelled = 8,
  // 128 + SIGINT, as a shell has it: Ctrl-C.
  kInterrupted = 130,
  // 128 + SIGPIPE: whoever read the output went away.
  kOutputClosed = 141,
};

// The exit code of a command that failed with `status`; kOk for OK.
ExitCode ExitCodeOf(const absl::Status& status);

// The exit code of a process whose Python code ended with `code`: its lowest eight bits, as for any process.
int ExitCodeOfSystemExit(int32_t code);

}  // namespace interpd::client

#endif  // INTERPD_CLIENT_CLI_EXIT_CODE_H_
