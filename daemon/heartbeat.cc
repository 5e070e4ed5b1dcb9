#include "daemon/heartbeat.h"

#include <utility>

namespace interpd::daemon {

void Heartbeat::Begin(absl::AnyInvocable<void(absl::Status) &&> done) {
  done_ = std::move(done);
  alarm_.Set(loop_.queue(), gpr_now(GPR_CLOCK_MONOTONIC), static_cast<EventLoop::Tag*>(this));
}

void Heartbeat::Complete(bool) {
  registry_.Beat([this](absl::Status status) {
    loop_.Post([this, status = std::move(status)]() mutable {
      if (jobs_ == nullptr) return std::move(done_)(std::move(status));
      jobs_->Beat([this, status = std::move(status)]() mutable {
        loop_.Post([this, status = std::move(status)]() mutable { std::move(done_)(std::move(status)); });
      });
    });
  });
}

}  // namespace interpd::daemon
