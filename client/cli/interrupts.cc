#include "client/cli/interrupts.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/log/check.h"

namespace interpd::client {

Interrupts::Interrupts() {
  signal(SIGPIPE, SIG_IGN);
  sigset_t watched;
  sigemptyset(&watched);
  for (int number : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction action;
    // A shell makes background jobs ignore Ctrl-C, and nohup makes its command ignore SIGHUP.
    if (sigaction(number, nullptr, &action) == 0 && action.sa_handler == SIG_IGN) continue;
    sigaddset(&watched, number);
  }
  pthread_sigmask(SIG_BLOCK, &watched, nullptr);
  signal_fd_ = signalfd(-1, &watched, SFD_CLOEXEC);
  stop_fd_ = eventfd(0, EFD_CLOEXEC);
  PCHECK(signal_fd_ >= 0 && stop_fd_ >= 0);
  thread_ = std::thread([this] { Watch(); });
}

Interrupts::~Interrupts() {
  const uint64_t one = 1;
  PCHECK(write(stop_fd_, &one, sizeof(one)) == sizeof(one));
  thread_.join();
  close(signal_fd_);
  close(stop_fd_);
}

Interrupts::Handler Interrupts::SetHandler(Handler handler) {
  absl::MutexLock lock(handler_mutex_);
  count_ = 0;
  return std::exchange(handler_, std::move(handler));
}

int Interrupts::exit_code() const {
  absl::MutexLock lock(mutex_);
  return exit_code_;
}

void Interrupts::Reset() {
  absl::MutexLock lock(mutex_);
  exit_code_ = 0;
}

void Interrupts::Watch() {
  while (true) {
    pollfd fds[] = {{.fd = signal_fd_, .events = POLLIN}, {.fd = stop_fd_, .events = POLLIN}};
    if (poll(fds, 2, -1) < 0) continue;
    if (fds[1].revents != 0) return;
    signalfd_siginfo info;
    if (read(signal_fd_, &info, sizeof(info)) != sizeof(info)) continue;
    const int number = static_cast<int>(info.ssi_signo);
    {
      absl::MutexLock lock(mutex_);
      if (exit_code_ == 0) exit_code_ = 128 + number;
    }
    absl::MutexLock lock(handler_mutex_);
    count_ = number == SIGINT ? count_ + 1 : std::max(count_ + 1, 2);
    if (handler_) handler_(count_);
  }
}

}  // namespace interpd::client
