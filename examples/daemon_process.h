// DaemonProcess: a daemon of one's own, on a private socket in a temporary directory.
//
// Who includes this: the quickstart. It is an example of how a program starts interpd for itself.
#ifndef INTERPD_EXAMPLES_DAEMON_PROCESS_H_
#define INTERPD_EXAMPLES_DAEMON_PROCESS_H_

#include <sys/types.h>

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace interpd::examples {

// Thread safety: address() and Log() may be called by any thread; the rest by one at a time.
class DaemonProcess {
 public:
  // Runs the daemon `binary`. Call it before the process has other threads.
  static absl::StatusOr<std::unique_ptr<DaemonProcess>> Start(const std::string& binary);

  // As Kill.
  ~DaemonProcess();

  DaemonProcess(const DaemonProcess&) = delete;
  DaemonProcess& operator=(const DaemonProcess&) = delete;

  // "unix:PATH"
  const std::string& address() const { return address_; }

  // What it has logged so far.
  std::string Log() const;

  // Asks it to end (SIGTERM) and waits, 10 seconds at most. An error unless it ended with exit code 0.
  absl::Status Stop();

  // Ends it at once, if it still runs, and removes the directory.
  void Kill();

 private:
  explicit DaemonProcess(std::string directory);

  const std::string directory_;
  const std::string log_file_;
  const std::string address_;
  pid_t pid_ = -1;
};

}  // namespace interpd::examples

#endif  // INTERPD_EXAMPLES_DAEMON_PROCESS_H_
