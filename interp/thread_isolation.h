// ThreadIsolation: makes the calling thread's working directory, umask and file descriptors its own.
//
// Who includes this: interpreter_worker, before it makes its interpreter. Linux keeps these things per thread once
// unshare(2) and close_range(2) have parted them; threads and processes that the thread starts share its own.
#ifndef INTERPD_INTERP_THREAD_ISOLATION_H_
#define INTERPD_INTERP_THREAD_ISOLATION_H_

#include <string>

#include "absl/status/status.h"

namespace interpd::interp {

// What the isolated thread keeps of its output pipes beside fds 1 and 2, in its own table: hosted code may close or
// replace 1 and 2, these say whether its pipes are empty. -1 when hosted code closed them.
struct OutputProbes {
  int stdout_fd = -1;
  int stderr_fd = -1;
};

// Call once, before threads are started: reserves the low file descriptors through which pipes are handed over, and
// grows the process's fd table to its limit (growing it later, while threads share it, costs 20 ms).
absl::Status PrepareThreadIsolation();

// Isolates the calling thread. Its fds are then 0: /dev/null, 1 and 2: the given pipes, and the probes; the two pipes
// are closed in the process's table. `cwd` empty: as it is. Fails with INVALID_FIELD when `cwd` cannot be entered;
// after any failure the thread must end.
absl::Status IsolateThread(int stdout_pipe, int stderr_pipe, const std::string& cwd, OutputProbes* probes);

}  // namespace interpd::interp

#endif  // INTERPD_INTERP_THREAD_ISOLATION_H_
