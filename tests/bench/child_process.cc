#include "tests/bench/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"

namespace interpd::bench {
namespace {

constexpr absl::Duration kStartLimit = absl::Seconds(20);

// Starts `command` with its stdout at `stdout_fd` (-1: ours).
absl::StatusOr<pid_t> Spawn(const std::vector<std::string>& command, int stdout_fd) {
  std::vector<char*> argv;
  for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  if (stdout_fd >= 0) posix_spawn_file_actions_adddup2(&actions, stdout_fd, STDOUT_FILENO);
  pid_t pid;
  const int error = posix_spawnp(&pid, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return absl::ErrnoToStatus(error, absl::StrCat("cannot start ", command[0]));
  return pid;
}

// The same with its stdout in a pipe, which the caller reads and closes.
absl::StatusOr<pid_t> SpawnWithPipe(const std::vector<std::string>& command, int* reader) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return absl::ErrnoToStatus(errno, "pipe2");
  absl::StatusOr<pid_t> pid = Spawn(command, ends[1]);
  close(ends[1]);
  if (!pid.ok()) close(ends[0]);
  *reader = ends[0];
  return pid;
}

bool Listens(const std::string& path) {
  sockaddr_un address = {.sun_family = AF_UNIX};
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const bool connected = connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  close(fd);
  return connected;
}

}  // namespace

std::string RunfilePath(std::string_view path) {
  std::string here(path);
  if (access(here.c_str(), F_OK) == 0) return std::filesystem::absolute(here);
  return absl::StrCat(std::filesystem::read_symlink("/proc/self/exe").string(), ".runfiles/interpd/", path);
}

absl::StatusOr<std::string> RunForOutput(const std::vector<std::string>& command) {
  int reader = -1;
  absl::StatusOr<pid_t> pid = SpawnWithPipe(command, &reader);
  if (!pid.ok()) return pid.status();
  std::string output;
  char buffer[4096];
  for (ssize_t size; (size = read(reader, buffer, sizeof(buffer))) > 0;) output.append(buffer, size);
  close(reader);
  int status = 0;
  waitpid(*pid, &status, 0);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    return absl::InternalError(absl::StrCat(absl::StrJoin(command, " "), " failed with wait status ", status));
  }
  return output;
}

absl::Status KillOnceItWrites(const std::vector<std::string>& command) {
  int reader = -1;
  absl::StatusOr<pid_t> pid = SpawnWithPipe(command, &reader);
  if (!pid.ok()) return pid.status();
  char byte;
  const bool wrote = read(reader, &byte, 1) == 1;
  kill(*pid, SIGKILL);
  close(reader);
  waitpid(*pid, nullptr, 0);
  if (!wrote) return absl::InternalError(absl::StrCat(command[0], " ended before it wrote anything"));
  return absl::OkStatus();
}

absl::StatusOr<ProcessUse> ReadProcessUse(pid_t pid) {
  const std::string directory = absl::StrCat("/proc/", pid);
  std::ifstream status(absl::StrCat(directory, "/status"));
  if (!status) return absl::NotFoundError(absl::StrCat("no process ", pid));
  ProcessUse use;
  for (std::string line; std::getline(status, line);) {
    std::string_view text = line;
    int64_t number = 0;
    if (absl::ConsumePrefix(&text, "VmRSS:") && absl::ConsumeSuffix(&text, " kB") && absl::SimpleAtoi(text, &number)) {
      use.rss_bytes = number * 1024;
    }
    if (absl::ConsumePrefix(&text, "Threads:") && absl::SimpleAtoi(text, &number)) use.threads = number;
  }
  std::error_code error;
  std::filesystem::directory_iterator fds(absl::StrCat(directory, "/fd"), error);
  if (error) return absl::NotFoundError(absl::StrCat("cannot list the fds of ", pid, ": ", error.message()));
  use.open_fds = std::distance(begin(fds), end(fds));
  return use;
}

absl::StatusOr<std::unique_ptr<ServerProcess>> ServerProcess::Start(std::vector<std::string> command) {
  // A short directory: a unix socket's path has at most 107 characters.
  char directory[] = "/tmp/interpd.XXXXXX";
  if (mkdtemp(directory) == nullptr) return absl::ErrnoToStatus(errno, "mkdtemp");
  std::unique_ptr<ServerProcess> server(new ServerProcess);
  server->directory_ = directory;
  const std::string path = absl::StrCat(directory, "/socket");
  server->address_ = absl::StrCat("unix:", path);
  command.insert(command.end(), {"--listen", server->address_});

  absl::StatusOr<pid_t> pid = Spawn(command, -1);
  if (!pid.ok()) return pid.status();
  server->pid_ = *pid;
  server->pidfd_ = static_cast<int>(syscall(SYS_pidfd_open, *pid, 0));
  // A server gives no sign of its own that it listens; its end is what the poll below waits for.
  for (const absl::Time limit = absl::Now() + kStartLimit; !Listens(path);) {
    pollfd ended = {.fd = server->pidfd_, .events = POLLIN};
    if (poll(&ended, 1, 5) == 1) return absl::InternalError(absl::StrCat(command[0], " ended before it listened"));
    if (absl::Now() > limit) return absl::DeadlineExceededError(absl::StrCat(command[0], " does not listen"));
  }
  return server;
}

absl::StatusOr<int> ServerProcess::Terminate(absl::Duration limit) {
  kill(pid_, SIGTERM);
  pollfd ended = {.fd = pidfd_, .events = POLLIN};
  if (poll(&ended, 1, static_cast<int>(absl::ToInt64Milliseconds(limit))) != 1) {
    return absl::DeadlineExceededError(absl::StrCat("still runs ", absl::FormatDuration(limit), " after SIGTERM"));
  }
  int status = 0;
  waitpid(std::exchange(pid_, -1), &status, 0);
  if (WIFSIGNALED(status)) return absl::InternalError(absl::StrCat("ended by signal ", WTERMSIG(status)));
  return WEXITSTATUS(status);
}

ServerProcess::~ServerProcess() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  if (pidfd_ >= 0) close(pidfd_);
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

}  // namespace interpd::bench
