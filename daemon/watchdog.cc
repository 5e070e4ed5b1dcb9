#include "daemon/watchdog.h"

#include <utility>

#include "absl/log/log.h"

namespace interpd::daemon {

Watchdog::Watchdog(ServiceManager& manager, Server& server, std::function<void()> wake)
    : manager_(manager), server_(server), wake_(std::move(wake)), period_(manager.watchdog() / 2) {}

absl::Time Watchdog::Step(absl::Time now) {
  if (period_ == absl::InfiniteDuration()) return absl::InfiniteFuture();
  // Acquire: pairs with the release below; nothing but the flag itself is read after it.
  if (trip_ != nullptr && trip_->back.load(std::memory_order_acquire)) {
    trip_.reset();
    manager_.FeedWatchdog();
  }
  if (trip_ != nullptr) return absl::InfiniteFuture();  // `wake_` will come, or nothing will
  if (now < due_) return due_;
  due_ = now + period_;
  trip_ = std::make_shared<Trip>();
  server_.Beat([trip = trip_, wake = wake_](absl::Status status) {
    if (!status.ok()) LOG(WARNING) << "the heartbeat's interpreter ran nothing: " << status.message();
    trip->back.store(true, std::memory_order_release);
    wake();
  });
  return absl::InfiniteFuture();
}

}  // namespace interpd::daemon
