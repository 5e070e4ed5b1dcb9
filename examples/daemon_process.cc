#include "examples/daemon_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"

namespace interpd::examples {
namespace {

constexpr int kStopLimitMs = 10'000;

}  // namespace

DaemonProcess::DaemonProcess(std::string directory)
    : directory_(std::move(directory)),
      log_file_(absl::StrCat(directory_, "/interpd.log")),
      address_(absl::StrCat("unix:", directory_, "/interpd.sock")) {}

absl::StatusOr<std::unique_ptr<DaemonProcess>> DaemonProcess::Start(const std::string& binary) {
  // Not below $TMPDIR, which may be longer than a socket's path may be.
  char directory[] = "/tmp/interpd-XXXXXX";
  if (mkdtemp(directory) == nullptr) return absl::ErrnoToStatus(errno, "cannot make a directory in /tmp");
  auto daemon = std::unique_ptr<DaemonProcess>(new DaemonProcess(directory));

  const pid_t parent = getpid();
  daemon->pid_ = fork();
  if (daemon->pid_ < 0) return absl::ErrnoToStatus(errno, "cannot start a process");
  if (daemon->pid_ == 0) {
    // Ctrl-C is the parent's to handle; when the parent dies, the daemon ends too.
    setpgid(0, 0);
    // The parent may have blocked signals for itself; the daemon is to hear them.
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) _exit(1);
    const int log = open(daemon->log_file_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    execl(binary.c_str(), "interpd", "--listen", daemon->address_.c_str(), nullptr);
    perror(binary.c_str());
    _exit(127);
  }
  return daemon;
}

DaemonProcess::~DaemonProcess() { Kill(); }

void DaemonProcess::Kill() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

std::string DaemonProcess::Log() const {
  std::stringstream text;
  text << std::ifstream(log_file_).rdbuf();
  return text.str();
}

absl::Status DaemonProcess::Stop() {
  const int process = static_cast<int>(syscall(SYS_pidfd_open, pid_, 0));
  if (process < 0) return absl::ErrnoToStatus(errno, "cannot watch the daemon");
  kill(pid_, SIGTERM);
  pollfd ended = {.fd = process, .events = POLLIN};
  int polled = 0;
  do {
    polled = poll(&ended, 1, kStopLimitMs);
  } while (polled < 0 && errno == EINTR);
  close(process);
  if (polled != 1) return absl::DeadlineExceededError("the daemon did not end when it was told to");
  int status = 0;
  waitpid(std::exchange(pid_, -1), &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return absl::OkStatus();
  return absl::InternalError(WIFEXITED(status) ? absl::StrCat("the daemon ended with exit code ", WEXITSTATUS(status))
                                               : absl::StrCat("the daemon was ended by signal ", WTERMSIG(status)));
}

}  // namespace interpd::examples
