// CallExpiry: looks once a second for calls whose credentials have expired, as long as there are any that can.
//
// Who includes this: the server's state; rpc.cc, which says which calls there are. Thread safety: belongs to handlers
// of the event loop.
#ifndef INTERPD_DAEMON_CALL_EXPIRY_H_
#define INTERPD_DAEMON_CALL_EXPIRY_H_

#include <grpcpp/alarm.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <utility>

#include "daemon/event_loop.h"

namespace interpd::daemon {

class CallExpiry : private EventLoop::Tag {
 public:
  CallExpiry(EventLoop& loop, std::function<void()> look) : loop_(loop), look_(std::move(look)) {}

  // A call that can expire.
  void Begun() {
    ++calls_;
    if (!waiting_) Wait();
  }
  void Ended() { --calls_; }

  // Before the loop is stopped.
  void Stop() {
    stopped_ = true;
    if (waiting_) alarm_.Cancel();
  }

 private:
  static constexpr std::chrono::seconds kBetweenLooks{1};

  void Wait() {
    if (stopped_) return;
    waiting_ = true;
    alarm_.Set(loop_.queue(), std::chrono::system_clock::now() + kBetweenLooks, static_cast<EventLoop::Tag*>(this));
  }
  void Complete(bool) override {
    waiting_ = false;
    if (calls_ == 0 || stopped_) return;
    look_();
    if (calls_ > 0) Wait();
  }

  EventLoop& loop_;
  const std::function<void()> look_;
  grpc::Alarm alarm_;
  int64_t calls_ = 0;
  bool waiting_ = false;
  bool stopped_ = false;
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_CALL_EXPIRY_H_
