#include "channels/event_count.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "channels/adaptive_spin.h"

namespace interpd::channels {
namespace {

TEST(EventCountTest, DeadlinePasses) {
  EventCount event;
  absl::Time start = absl::Now();
  EXPECT_FALSE(event.Wait(event.PrepareWait(), start + absl::Milliseconds(20)));
  EXPECT_GE(absl::Now() - start, absl::Milliseconds(19));
  EXPECT_FALSE(event.HasWaiters());
}

TEST(EventCountTest, NotificationAfterPrepareIsNotLost) {
  EventCount event;
  uint32_t key = event.PrepareWait();
  event.NotifyAll();
  EXPECT_TRUE(event.Wait(key, absl::Now() + absl::Seconds(30)));
}

TEST(EventCountTest, ACancelledWaitIsForgotten) {
  EventCount event;
  uint32_t first = event.PrepareWait();
  uint32_t second = event.PrepareWait();
  event.CancelWait(first);
  EXPECT_TRUE(event.HasWaiters());
  event.NotifyAll();
  EXPECT_FALSE(event.HasWaiters());
  event.CancelWait(second);  // too late: counts nobody of the new epoch
  EXPECT_FALSE(event.HasWaiters());
}

TEST(EventCountTest, NotificationBeforePrepareDoesNotCount) {
  EventCount event;
  event.NotifyAll();
  EXPECT_FALSE(event.Wait(event.PrepareWait(), absl::Now() + absl::Milliseconds(1)));
}

// Every item that is posted is taken, however the threads meet: a lost wake-up would leave the test hanging.
TEST(EventCountTest, NoLostWakeUp) {
  constexpr int kItems = 100000;
  constexpr int kConsumers = 3;
  EventCount event;
  std::atomic<int> available{0};
  std::atomic<int> taken{0};
  std::vector<std::thread> consumers;
  for (int i = 0; i < kConsumers; ++i) {
    consumers.emplace_back([&] {
      auto try_take = [&] {
        int n = available.load();
        while (n > 0) {
          if (available.compare_exchange_weak(n, n - 1)) return true;
        }
        return false;
      };
      while (taken.load() < kItems) {
        if (!try_take()) {
          uint32_t key = event.PrepareWait();
          if (taken.load() >= kItems || available.load() > 0) {
            event.CancelWait(key);
          } else {
            event.Wait(key);
          }
          continue;
        }
        if (taken.fetch_add(1) + 1 == kItems) event.NotifyAll();
      }
    });
  }
  for (int i = 0; i < kItems; ++i) {
    available.fetch_add(1);
    event.NotifyAll();
  }
  for (std::thread& consumer : consumers) consumer.join();
  EXPECT_EQ(taken.load(), kItems);
  EXPECT_FALSE(event.HasWaiters());
}

TEST(AdaptiveSpinTest, GivesUpWhenItDoesNotPay) {
  AdaptiveSpin spin;
  auto never = [] { return false; };
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(spin.Spin(never));
  // By now it only looks once.
  int looks = 0;
  EXPECT_FALSE(spin.Spin([&] {
    ++looks;
    return false;
  }));
  EXPECT_EQ(looks, 1);
}

TEST(AdaptiveSpinTest, TakesItUpAgainAfterShortSleeps) {
  AdaptiveSpin spin;
  auto never = [] { return false; };
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(spin.Spin(never));
  auto looks = [&] {
    int count = 0;
    spin.Spin([&] {
      ++count;
      return false;
    });
    return count;
  };
  spin.Slept(std::chrono::microseconds(20));
  spin.Slept(std::chrono::seconds(1));
  spin.Slept(std::chrono::microseconds(20));
  EXPECT_EQ(looks(), 1);
  spin.Slept(std::chrono::microseconds(20));
  EXPECT_GT(looks(), 1);
}

TEST(AdaptiveSpinTest, SeesWhatIsReady) {
  AdaptiveSpin spin;
  EXPECT_TRUE(spin.Spin([] { return true; }));
}

}  // namespace
}  // namespace interpd::channels
