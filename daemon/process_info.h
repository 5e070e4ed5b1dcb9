// What the kernel says of this process.
#ifndef INTERPD_DAEMON_PROCESS_INFO_H_
#define INTERPD_DAEMON_PROCESS_INFO_H_

#include <cstdint>

namespace interpd::daemon {

struct ProcessInfo {
  int64_t rss_bytes = 0;
  int64_t open_fds = 0;  // of the daemon's own table; interpreters have theirs
  int64_t threads = 0;
};

// From /proc; what cannot be read is 0.
ProcessInfo ReadProcessInfo();

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_PROCESS_INFO_H_
