// ThreadIsolation: makes the calling thread's working directory, umask and file descriptors its own.
//
// Who includes this: interpreter_worker, before it makes its interpreter. Linux keeps these things per thread once
// unshare(2) and close_range(2) have parted them; threads and processes that the thread starts share its own.
#ifndef INTERPD_INTERP_THREAD_ISOLATION_H_
#define INTERPD_INTERP_THREAD_ISOLATION_H_

#include <string>

#include "absl/status/status.h"

namespace interpd::interp {

// Call once, before threads are started: reserves the low file descriptors through which pipes are handed over, and
// grows the process's fd table to its limit (growing it later, while threads share it, costs 20 ms).
absl::Status PrepareThreadIsolation();

// What the thread is to keep, as fds of the process's table, in which they are closed.
struct KeptFds {
  int stdout_pipe;
  int stderr_pipe;
  int output_probe;  // see OutputCapture
};

// Where an isolated thread finds its output probe. High enough to be out of the way of code that counts on low
// numbers, low enough for the smallest fd table.
inline constexpr int kOutputProbeFd = 60;

// Isolates the calling thread. Its fds are then 0: /dev/null, 1 and 2: the pipes, and the probe. `cwd` empty: as it
// is. Fails with INVALID_FIELD when `cwd` cannot be entered; after any failure the thread must end.
absl::Status IsolateThread(const KeptFds& kept, const std::string& cwd);

}  // namespace interpd::interp

#endif  // INTERPD_INTERP_THREAD_ISOLATION_H_
