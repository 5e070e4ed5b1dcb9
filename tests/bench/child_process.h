// Programs that a bench or a test starts: helpers that print a result, and servers on a private socket.
//
// Who includes this: tests/bench and tests/stress. Thread safety: none. Linux only.
#ifndef INTERPD_TESTS_BENCH_CHILD_PROCESS_H_
#define INTERPD_TESTS_BENCH_CHILD_PROCESS_H_

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace interpd::bench {

// Where a file of the repository lies among this program's runfiles.
std::string RunfilePath(std::string_view path);

// Runs a program to its end and returns what it wrote to stdout. Error: it did not exit 0.
absl::StatusOr<std::string> RunForOutput(const std::vector<std::string>& command);

// Starts a program, waits until it has written something to stdout, and kills it with SIGKILL. Error: it ended before.
absl::Status KillOnceItWrites(const std::vector<std::string>& command);

// Resident memory, file descriptors and threads of a process, as /proc has them.
struct ProcessUse {
  int64_t rss_bytes = 0;
  int64_t open_fds = 0;
  int64_t threads = 0;
};
absl::StatusOr<ProcessUse> ReadProcessUse(pid_t pid);

// A server that listens on a unix socket of its own, killed if it has not ended when this is destroyed.
class ServerProcess {
 public:
  // Starts `command` with `--listen unix:SOCKET` appended, and waits until the socket answers a connection.
  static absl::StatusOr<std::unique_ptr<ServerProcess>> Start(std::vector<std::string> command);
  ~ServerProcess();
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  pid_t pid() const { return pid_; }
  const std::string& address() const { return address_; }  // unix:PATH

  // Sends SIGTERM and waits for the end. Returns the exit code, or an error when a signal ended it or it took longer.
  absl::StatusOr<int> Terminate(absl::Duration limit);

 private:
  ServerProcess() = default;

  std::string directory_;
  std::string address_;
  pid_t pid_ = -1;
  int pidfd_ = -1;
};

}  // namespace interpd::bench

#endif  // INTERPD_TESTS_BENCH_CHILD_PROCESS_H_
