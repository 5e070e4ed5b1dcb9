#include "interp/thread_isolation.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <mutex>

#include "absl/strings/str_cat.h"
#include "channels/error.h"

namespace interpd::interp {
namespace {

// close_range(CLOSE_RANGE_UNSHARE) copies only the fds below its range, so what an interpreter is to keep must lie
// low, whatever the daemon has open. These fds of the process's table are where it lies for the hand-over.
struct Stage {
  std::mutex mu;  // held from filling the stage to having unshared it
  int null_fd = -1;
  int stdout_fd = -1;
  int stderr_fd = -1;
  int probe_fd = -1;
};

Stage& stage() {
  static Stage* stage = new Stage;
  return *stage;
}

absl::Status Errno(std::string_view what) {
  return absl::InternalError(absl::StrCat(what, ": ", std::strerror(errno)));
}

}  // namespace

absl::Status PrepareThreadIsolation() {
  Stage& s = stage();
  if (s.null_fd >= 0) return absl::OkStatus();
  for (int* fd : {&s.null_fd, &s.stdout_fd, &s.stderr_fd, &s.probe_fd}) {
    *fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (*fd < 0) return Errno("open /dev/null");
  }
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    int highest = static_cast<int>(std::min<rlim_t>(limit.rlim_cur, 1 << 15)) - 1;
    if (dup2(s.null_fd, highest) == highest) close(highest);
  }
  return absl::OkStatus();
}

absl::Status IsolateThread(const KeptFds& kept, const std::string& cwd) {
  Stage& s = stage();
  {
    std::lock_guard lock(s.mu);
    bool staged = dup2(kept.stdout_pipe, s.stdout_fd) >= 0 && dup2(kept.stderr_pipe, s.stderr_fd) >= 0 &&
                  dup2(kept.output_probe, s.probe_fd) >= 0;
    for (int fd : {kept.stdout_pipe, kept.stderr_pipe, kept.output_probe}) close(fd);
    if (!staged) return Errno("dup2");
    unsigned first = static_cast<unsigned>(std::max({s.null_fd, s.stdout_fd, s.stderr_fd, s.probe_fd})) + 1;
    // Without a table of its own the thread must not touch fds 0 to 2.
    if (close_range(first, ~0u, CLOSE_RANGE_UNSHARE) != 0) return Errno("close_range");
  }
  // From here on the table is this thread's.
  if (dup2(s.null_fd, 0) < 0 || dup2(s.stdout_fd, 1) < 0 || dup2(s.stderr_fd, 2) < 0 ||
      dup3(s.probe_fd, kOutputProbeFd, O_CLOEXEC) < 0) {
    return Errno("dup2");
  }
  if (close_range(3, kOutputProbeFd - 1, 0) != 0) return Errno("close_range");

  if (unshare(CLONE_FS) != 0) return Errno("unshare(CLONE_FS)");
  if (!cwd.empty() && chdir(cwd.c_str()) != 0) {
    return channels::MakeError(absl::StatusCode::kInvalidArgument, "INVALID_FIELD",
                               absl::StrCat("cannot enter the working directory ", cwd, ": ", std::strerror(errno)),
                               {{"field", "config.cwd"}});
  }
  return absl::OkStatus();
}

}  // namespace interpd::interp
