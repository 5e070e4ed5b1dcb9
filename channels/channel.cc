#include "channels/channel.h"

#include <functional>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include "absl/log/check.h"
#include "channels/basic_select.h"
#include "channels/broadcast_channel.h"
#include "channels/queue_channel.h"
#include "channels/rendezvous_channel.h"
#include "channels/select.h"

namespace interpd::channels {
namespace {

using Waiter = BasicSelectWaiter<std::atomic>;

// Waiters whose threads have ended, for new threads. They are never freed, so neither is this.
struct WaiterPool {
  std::mutex mutex;
  std::vector<Waiter*> idle;
};

WaiterPool& Pool() {
  static WaiterPool& pool = *new WaiterPool;
  return pool;
}

class MyWaiter {
 public:
  MyWaiter() {
    std::lock_guard lock(Pool().mutex);
    if (Pool().idle.empty()) {
      waiter_ = new Waiter;
    } else {
      waiter_ = Pool().idle.back();
      Pool().idle.pop_back();
    }
  }
  ~MyWaiter() {
    std::lock_guard lock(Pool().mutex);
    Pool().idle.push_back(waiter_);
  }
  Waiter& get() { return *waiter_; }

 private:
  Waiter* waiter_;
};

}  // namespace

Ref<Channel> Channel::Make(const ChannelOptions& options) {
  CHECK_LE(options.capacity, kMaxCapacity);
  if (options.broadcast) return MakeRef<BroadcastChannel<std::atomic>>(options.name);
  if (options.capacity == 0) return MakeRef<RendezvousChannel<std::atomic>>(options.name);
  return MakeRef<QueueChannel<std::atomic>>(options.capacity, options.name);
}

void Channel::Discard() {
  Close();
  Value value;
  while (TryRecv(&value) == Outcome::kDone) {
  }
}

BasicSelectWaiter<std::atomic>& SelectWaiters<std::atomic>::Mine() {
  thread_local MyWaiter mine;
  return mine.get();
}

uint32_t SelectDice() {
  thread_local std::minstd_rand dice(
      static_cast<uint32_t>(std::hash<std::thread::id>{}(std::this_thread::get_id()) | 1));
  return static_cast<uint32_t>(dice() >> 3);
}

Outcome Select(absl::Span<const SelectCase> cases, size_t* chosen, const Wait& wait, WithDefault with_default) {
  return BasicSelect<std::atomic>(cases, chosen).Run(wait, with_default);
}

}  // namespace interpd::channels
