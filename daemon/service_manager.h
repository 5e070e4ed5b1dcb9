// ServiceManager: what interpd tells the service manager that has started it (sd_notify(3)), and what that wants to
// hear.
//
// Who includes this: main.cc, and the life cycle.
//
// The socket is taken, and the environment cleared of it, when the process starts. libsystemd would look the variable
// up each time, and the environment is the process's: hosted code that clears os.environ would silence the daemon, and
// the service manager would then end it for its silence.
//
// A message that does not fit into the service manager's queue waits for room, for five seconds at most; then it is
// lost, and the log says so. Thread safety: any thread of the daemon's own, which are those that share its file
// descriptors.
#ifndef INTERPD_DAEMON_SERVICE_MANAGER_H_
#define INTERPD_DAEMON_SERVICE_MANAGER_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace interpd::daemon {

class ServiceManager {
 public:
  // Takes NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID out of the environment. Call it before there are threads.
  static ServiceManager FromEnvironment();

  ServiceManager(ServiceManager&& other) noexcept;
  ServiceManager& operator=(ServiceManager&& other) = delete;
  ~ServiceManager();

  // Whether there is one that listens.
  bool listens() const { return fd_ >= 0; }

  // Within this time of each other it wants to be fed; infinite: it does not watch.
  absl::Duration watchdog() const { return watchdog_; }

  void Ready(std::string_view status);
  void Status(std::string_view status);
  // Reads its configuration anew, until the next Ready.
  void Reloading();
  void Stopping(std::string_view status);
  // Stopping takes longer: ask for so much from now on.
  void ExtendTimeout(absl::Duration time);
  void FeedWatchdog();

 private:
  ServiceManager() = default;
  void Send(std::string_view message);

  int fd_ = -1;  // connected
  absl::Duration watchdog_ = absl::InfiniteDuration();
};

// The listening unix sockets that this process was started with (sd_listen_fds(3)), taken out of the environment. Call
// it before there are threads. Errors: one of the files is something else.
absl::StatusOr<std::vector<int>> InheritedSockets();

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_SERVICE_MANAGER_H_
