#include "interp/output_capture.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

namespace interpd::interp {
namespace {

constexpr size_t kReadBytes = 64 << 10;  // a pipe's capacity

absl::Status Errno(std::string_view what) {
  return absl::InternalError(absl::StrCat(what, ": ", std::strerror(errno)));
}

}  // namespace

// ---- OutputCapture ------------------------------------------------------------------------------------------------

absl::StatusOr<std::shared_ptr<OutputCapture>> OutputCapture::Open(OutputPump* pump, size_t log_limit_bytes) {
  auto capture = std::shared_ptr<OutputCapture>(new OutputCapture(pump, log_limit_bytes));
  capture->probe_fd_ = epoll_create1(EPOLL_CLOEXEC);
  if (capture->probe_fd_ < 0) return Errno("epoll_create");
  for (int i = 0; i < 2; ++i) {
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0) return Errno("pipe");
    capture->read_fds_[i] = fds[0];
    capture->write_fds_[i] = fds[1];
    // The reading end alone does not block: hosted code writes as to any pipe.
    if (fcntl(fds[0], F_SETFL, O_NONBLOCK) != 0) return Errno("fcntl");
    epoll_event event{.events = EPOLLIN, .data = {.ptr = capture.get()}};
    if (epoll_ctl(capture->probe_fd_, EPOLL_CTL_ADD, fds[0], &event) != 0) return Errno("epoll_ctl");
  }
  pump->Add(capture);
  return capture;
}

OutputCapture::~OutputCapture() {
  for (int fd : {read_fds_[0], read_fds_[1], write_fds_[0], write_fds_[1], probe_fd_}) {
    if (fd >= 0) close(fd);
  }
}

KeptFds OutputCapture::ReleaseKeptFds() {
  return {std::exchange(write_fds_[0], -1), std::exchange(write_fds_[1], -1), std::exchange(probe_fd_, -1)};
}

bool OutputCapture::Settled() const {
  epoll_event events[2];
  int count = epoll_wait(kOutputProbeFd, events, 2, 0);
  for (int i = 0; i < count; ++i) {
    // Hosted code may have closed the probe, and opened an epoll instance of its own in its place.
    if (events[i].data.ptr == this && (events[i].events & EPOLLIN)) return false;
  }
  // Without its probe the last bytes may come late.
  //
  // The order matters. The pump sets the flag before it empties a pipe; the pipe's own lock, which the kernel takes to
  // answer the probe, makes the flag visible to whoever sees the pipe empty. acquire: delivered bytes are visible
  // after a clear flag.
  return !reading_.load(std::memory_order_acquire);
}

void OutputCapture::Settle() {
  while (!Settled()) {
    uint32_t key = delivered_.PrepareWait();
    if (Settled()) {
      delivered_.CancelWait(key);
      return;
    }
    delivered_.Wait(key);
  }
}

void OutputCapture::Begin(Work* work) {
  std::lock_guard lock(mu_);
  work_ = work;
}

bool OutputCapture::TryFinish() {
  if (!Settled()) return false;
  std::lock_guard lock(mu_);
  work_ = nullptr;
  discard_ = false;
  return true;
}

void OutputCapture::Finish() {
  do {
    Settle();
  } while (!TryFinish());
}

void OutputCapture::Discard(const Work* work) {
  {
    std::lock_guard lock(mu_);
    if (work_ != work) return;
    discard_ = true;
  }
  Resume();
}

void OutputCapture::Resume() {
  std::lock_guard lock(mu_);
  if (!paused_ || closed_) return;
  paused_ = false;
  pump_->Watch(this, true);
}

void OutputCapture::Close() {
  pump_->Remove(this);
  // The pump may be in the middle of a read; after it, what is left is read here.
  for (int i = 0; i < 2; ++i) ReadPipe(i);
  std::lock_guard lock(mu_);
  closed_ = true;
  for (int& fd : read_fds_) close(std::exchange(fd, -1));
}

void OutputCapture::TellListeners() {
  std::lock_guard lock(mu_);
  for (auto& [id, listener] : listeners_) listener();
}

void OutputCapture::ReadPipe(int index) {
  thread_local std::string buffer(kReadBytes, '\0');
  bool more = true;
  while (more) {
    std::lock_guard lock(mu_);
    if (closed_ || paused_) break;
    // seq_cst: see Settled. The lock makes the pump's read and a Close exclude each other.
    reading_.store(true, std::memory_order_seq_cst);
    ssize_t size = read(read_fds_[index], buffer.data(), buffer.size());
    if (size > 0) Deliver(index == 0 ? Stream::kStdout : Stream::kStderr, {buffer.data(), static_cast<size_t>(size)});
    // release: the delivery comes before the clear flag.
    reading_.store(false, std::memory_order_release);
    more = size == static_cast<ssize_t>(buffer.size());
  }
  delivered_.NotifyAll();
}

void OutputCapture::Deliver(Stream stream, std::string_view data) {
  if (discard_) return;
  if (work_ != nullptr) {
    if (!work_->Output(stream, data)) {
      paused_ = true;
      pump_->Watch(this, false);
    }
    return;
  }
  log_.Append(stream, data);
  for (auto& [id, listener] : listeners_) listener();
}

LogChunk OutputCapture::ReadLog(uint64_t* cursor, size_t max_bytes) {
  std::lock_guard lock(mu_);
  return log_.Read(cursor, max_bytes);
}

int64_t OutputCapture::Listen(absl::AnyInvocable<void()> listener) {
  std::lock_guard lock(mu_);
  if (closed_) listener();
  listeners_.emplace(next_listener_, std::move(listener));
  return next_listener_++;
}

void OutputCapture::StopListening(int64_t id) {
  std::lock_guard lock(mu_);
  listeners_.erase(id);
}

// ---- OutputPump ---------------------------------------------------------------------------------------------------

absl::Status OutputPump::Start() {
  epoll_fd_ = epoll_create1(EPOLL_CLOEXEC);
  stop_fd_ = eventfd(0, EFD_CLOEXEC);
  if (epoll_fd_ < 0 || stop_fd_ < 0) return Errno("epoll");
  epoll_event event{.events = EPOLLIN, .data = {.fd = stop_fd_}};
  if (epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, stop_fd_, &event) != 0) return Errno("epoll_ctl");
  thread_ = std::thread([this] { Run(); });
  return absl::OkStatus();
}

OutputPump::~OutputPump() {
  if (thread_.joinable()) {
    uint64_t one = 1;
    [[maybe_unused]] ssize_t written = write(stop_fd_, &one, sizeof(one));
    thread_.join();
  }
  if (stop_fd_ >= 0) close(stop_fd_);
  if (epoll_fd_ >= 0) close(epoll_fd_);
}

void OutputPump::Add(const std::shared_ptr<OutputCapture>& capture) {
  std::lock_guard lock(mu_);
  for (int i = 0; i < 2; ++i) {
    const int fd = capture->read_fds_[i];
    pipes_[fd] = {capture, i};
    epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
    epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event);
  }
}

void OutputPump::Remove(OutputCapture* capture) {
  std::lock_guard lock(mu_);
  for (int fd : capture->read_fds_) {
    if (pipes_.erase(fd) != 0) epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, fd, nullptr);
  }
}

void OutputPump::Watch(OutputCapture* capture, bool wanted) {
  for (int fd : capture->read_fds_) {
    epoll_event event{.events = wanted ? static_cast<uint32_t>(EPOLLIN) : 0u, .data = {.fd = fd}};
    epoll_ctl(epoll_fd_, EPOLL_CTL_MOD, fd, &event);
  }
}

void OutputPump::Run() {
  pthread_setname_np(pthread_self(), "interpd-output");
  epoll_event events[64];
  while (true) {
    int count = epoll_wait(epoll_fd_, events, 64, -1);
    for (int i = 0; i < count; ++i) {
      const int fd = events[i].data.fd;
      if (fd == stop_fd_) return;
      std::shared_ptr<OutputCapture> capture;
      int index;
      {
        std::lock_guard lock(mu_);
        auto found = pipes_.find(fd);
        if (found == pipes_.end()) continue;
        capture = found->second.capture.lock();
        index = found->second.index;
        // Nobody holds the other end any more: an end that stays readable for ever is not waited for.
        if (!capture || (events[i].events & (EPOLLHUP | EPOLLIN)) == EPOLLHUP) {
          epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, fd, nullptr);
          pipes_.erase(found);
          continue;
        }
      }
      capture->ReadPipe(index);
    }
  }
}

}  // namespace interpd::interp
