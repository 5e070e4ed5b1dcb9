// ChannelWatch: brings "a send, or a receive, may succeed now" from whatever thread made it so into the event loop.
//
// Who includes this: the halves of channel streams, and Send.
// Thread safety: belongs to handlers of the event loop.
#ifndef INTERPD_DAEMON_CHANNEL_WATCH_H_
#define INTERPD_DAEMON_CHANNEL_WATCH_H_

#include <functional>
#include <memory>
#include <utility>

#include "channels/channel.h"
#include "channels/shared.h"
#include "daemon/event_loop.h"
#include "daemon/server_state.h"

namespace interpd::daemon {

class ChannelWatch {
 public:
  // `on_ready` runs as a task of the loop, once for each Arm that was not disarmed.
  ChannelWatch(ServerState& state, std::function<void()> on_ready) : state_(state), on_ready_(std::move(on_ready)) {}
  ~ChannelWatch() { Disarm(); }
  ChannelWatch(const ChannelWatch&) = delete;
  ChannelWatch& operator=(const ChannelWatch&) = delete;

  bool armed() const { return signal_ != nullptr && signal_->watch != nullptr; }

  // Requires: not armed. If it is ready already, `on_ready` comes soon, never from within this.
  void Arm(channels::Ref<channels::Channel> channel, channels::Direction direction) {
    if (signal_ == nullptr) signal_ = std::make_shared<Signal>(state_.loop);
    channel_ = std::move(channel);
    direction_ = direction;
    signal_->watch = this;
    state_.channel_clients.Waits(channel_.get(), direction, 1);
    id_ = channel_->Watch(direction, signal_);
  }

  void Disarm() {
    if (!armed()) return;
    channel_->Unwatch(id_);
    // What has been posted meanwhile belongs to nobody.
    Disarmed();
    signal_ = nullptr;
  }

 private:
  // What the channel has. It outlives the watch when somebody is just ringing it.
  struct Signal final : channels::Watcher, EventLoop::Task, std::enable_shared_from_this<Signal> {
    explicit Signal(EventLoop& loop) : loop(loop) {}

    // Any thread, once for each Arm.
    void Ready() override {
      alive = shared_from_this();
      loop.Post(this);
    }

    void Run() override {
      std::shared_ptr<Signal> self = std::move(alive);
      if (ChannelWatch* rung = watch) {
        rung->Disarmed();
        rung->on_ready_();
      }
    }

    EventLoop& loop;
    ChannelWatch* watch = nullptr;  // armed; in the event loop
    std::shared_ptr<Signal> alive;  // while posted
  };

  void Disarmed() {
    signal_->watch = nullptr;
    state_.channel_clients.Waits(channel_.get(), direction_, -1);
  }

  ServerState& state_;
  const std::function<void()> on_ready_;
  std::shared_ptr<Signal> signal_;
  channels::Ref<channels::Channel> channel_;  // as long as somebody may arm it again
  channels::Direction direction_ = channels::Direction::kSend;
  channels::WatchId id_;
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_CHANNEL_WATCH_H_
