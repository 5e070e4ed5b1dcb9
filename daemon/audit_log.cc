#include "daemon/audit_log.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/log/log.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace interpd::daemon {
namespace {

// Not long: what the line of something that has only begun tells of may end the process.
constexpr absl::Duration kGather = absl::Milliseconds(2);

int OpenFile(const std::string& file) {
  return open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
}

absl::Status CannotOpen(const std::string& file) {
  return absl::FailedPreconditionError(absl::StrCat("audit.file: cannot open ", file, ": ", std::strerror(errno)));
}

}  // namespace

absl::StatusOr<std::unique_ptr<AuditLog>> AuditLog::Open(std::string file) {
  int fd = OpenFile(file);
  if (fd < 0) return CannotOpen(file);
  return std::unique_ptr<AuditLog>(new AuditLog(std::move(file), fd));
}

AuditLog::AuditLog(std::string file, int fd) : file_(std::move(file)), fd_(fd), thread_([this] { Run(); }) {
  pthread_setname_np(thread_.native_handle(), "interpd-audit");
}

AuditLog::~AuditLog() {
  {
    absl::MutexLock lock(mutex_);
    stop_ = true;
  }
  thread_.join();
  absl::MutexLock lock(mutex_);
  close(fd_);
}

void AuditLog::Write(std::string_view line) {
  absl::MutexLock lock(mutex_);
  if (waiting_.size() + line.size() + 1 > kMaxWaitingBytes) {
    ++lost_count_;
    return;
  }
  absl::StrAppend(&waiting_, line, "\n");
  ++waiting_count_;
}

void AuditLog::Flush(absl::Duration timeout) {
  absl::MutexLock lock(mutex_);
  hurry_ = true;
  auto done = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return waiting_.empty() && !writing_; };
  mutex_.AwaitWithTimeout(absl::Condition(&done), timeout);
  hurry_ = false;
}

absl::Status AuditLog::Reopen() {
  int fd = OpenFile(file_);
  if (fd < 0) return CannotOpen(file_);
  absl::MutexLock lock(mutex_);
  // Not closed under the writer's hands: the number stays, the file behind it changes.
  const bool replaced = dup3(fd, fd_, O_CLOEXEC) >= 0;
  close(fd);
  return replaced ? absl::OkStatus() : CannotOpen(file_);
}

int64_t AuditLog::lost_count() const {
  absl::MutexLock lock(mutex_);
  return lost_count_;
}

bool AuditLog::Append(int fd, std::string_view lines) {
  const off_t end = lseek(fd, 0, SEEK_END);
  std::string_view rest = lines;
  while (!rest.empty()) {
    ssize_t count = write(fd, rest.data(), rest.size());
    if (count < 0) {
      if (errno == EINTR) continue;
      // Half a line would spoil the next one.
      if (rest.size() < lines.size() && end >= 0 && ftruncate(fd, end) != 0) LOG(WARNING) << "audit: half a line";
      return false;
    }
    rest.remove_prefix(static_cast<size_t>(count));
  }
  return true;
}

void AuditLog::Run() {
  bool failing = false;
  for (;;) {
    std::string lines;
    int64_t count = 0;
    int64_t lost = 0;
    int fd;
    {
      absl::MutexLock lock(mutex_);
      auto work = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return stop_ || !waiting_.empty(); };
      mutex_.Await(absl::Condition(&work));
      // More comes at once then, and whoever hands over a line seldom has to wake this thread.
      auto at_once = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return stop_ || hurry_; };
      mutex_.AwaitWithTimeout(absl::Condition(&at_once), kGather);
      if (waiting_.empty()) return;  // told to stop, and all is written
      lines.swap(waiting_);
      count = std::exchange(waiting_count_, 0);
      writing_ = true;
      lost = lost_count_ - told_lost_;
      fd = fd_;
    }
    if (lost > 0) {
      lines.insert(0,
                   absl::StrCat("{\"time\":\"", absl::FormatTime(absl::RFC3339_sec, absl::Now(), absl::UTCTimeZone()),
                                "\",\"lost\":", lost, "}\n"));
    }
    const bool written = Append(fd, lines);
    absl::MutexLock lock(mutex_);
    writing_ = false;
    if (written) {
      told_lost_ += lost;
    } else {
      lost_count_ += count;
    }
    if (!written && !std::exchange(failing, true)) {
      LOG(ERROR) << "audit: cannot write " << file_ << ": " << std::strerror(errno) << "; lines are lost";
    } else if (written && std::exchange(failing, false)) {
      LOG(WARNING) << "audit: " << file_ << " is written again; " << lost << " lines are lost";
    }
  }
}

}  // namespace interpd::daemon
