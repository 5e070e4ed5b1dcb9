#include "client/cli/input_lines.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/log/check.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace interpd::client {

InputLines::InputLines(int fd, std::string name, int other_interrupt_fd)
    : fd_(fd), name_(std::move(name)), interrupt_fd_(eventfd(0, EFD_CLOEXEC)), other_interrupt_fd_(other_interrupt_fd) {
  PCHECK(interrupt_fd_ >= 0);
}

InputLines::~InputLines() { close(interrupt_fd_); }

absl::StatusOr<std::optional<std::string>> InputLines::Next(absl::Time deadline) {
  for (;;) {
    if (size_t end = buffer_.find('\n', begin_); end != std::string::npos) {
      std::string line = buffer_.substr(begin_, end - begin_);
      begin_ = end + 1;
      ++number_;
      return line;
    }
    buffer_.erase(0, std::exchange(begin_, 0));
    if (at_end_) {
      if (buffer_.empty()) return std::nullopt;
      ++number_;
      return std::exchange(buffer_, "");
    }
    if (absl::Status status = Wait(deadline); !status.ok()) return status;
    char chunk[1 << 16];
    const ssize_t got = read(fd_, chunk, sizeof(chunk));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return absl::UnknownError(absl::StrCat("cannot read ", name_, ": ", std::strerror(errno)));
    at_end_ = got == 0;
    buffer_.append(chunk, static_cast<size_t>(got));
  }
}

void InputLines::Interrupt() {
  const uint64_t one = 1;
  PCHECK(write(interrupt_fd_, &one, sizeof(one)) == sizeof(one));
}

bool InputLines::Rewind() {
  if (lseek(fd_, 0, SEEK_SET) < 0) return false;
  buffer_.clear();
  begin_ = 0;
  number_ = 0;
  at_end_ = false;
  return true;
}

absl::Status InputLines::Wait(absl::Time deadline) const {
  // poll passes over an fd of -1.
  pollfd fds[] = {{.fd = fd_, .events = POLLIN},
                  {.fd = interrupt_fd_, .events = POLLIN},
                  {.fd = other_interrupt_fd_, .events = POLLIN}};
  int ready = 0;
  do {
    // A poll of an hour at most: its milliseconds are an int.
    const absl::Duration left = std::clamp(deadline - absl::Now(), absl::ZeroDuration(), absl::Hours(1));
    ready = poll(fds, 3, static_cast<int>(absl::ToInt64Milliseconds(left)));
  } while (ready < 0 || (ready == 0 && absl::Now() < deadline));
  if (fds[1].revents != 0 || fds[2].revents != 0) return absl::CancelledError("interrupted");
  return ready > 0 ? absl::OkStatus() : absl::DeadlineExceededError(absl::StrCat(name_, " brought no line in time"));
}

bool IsBlank(std::string_view line) { return absl::StripAsciiWhitespace(line).empty(); }

}  // namespace interpd::client
