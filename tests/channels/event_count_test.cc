#include "channels/event_count.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <array>
#include <atomic>
#include <chrono>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "channels/adaptive_spin.h"
#include "channels/deadline.h"
#include "channels/interrupt.h"
#include "tests/testing/threads.h"

namespace interpd::channels {
namespace {

using testing::WaitUntilAsleep;

TEST(EventCountTest, DeadlinePasses) {
  EventCount event;
  absl::Time start = absl::Now();
  EXPECT_EQ(event.Wait(event.PrepareWait(), Deadline::After(absl::Milliseconds(20))), WaitResult::kTimeout);
  EXPECT_GE(absl::Now() - start, absl::Milliseconds(19));
  EXPECT_FALSE(event.HasWaiters());
}

TEST(EventCountTest, NotificationAfterPrepareIsNotLost) {
  EventCount event;
  uint32_t key = event.PrepareWait();
  event.NotifyAll();
  EXPECT_EQ(event.Wait(key, Deadline::After(absl::Seconds(30))), WaitResult::kNotified);
}

TEST(EventCountTest, ACancelledWaitIsForgotten) {
  EventCount event;
  uint32_t first = event.PrepareWait();
  uint32_t second = event.PrepareWait();
  event.CancelWait(first);
  EXPECT_TRUE(event.HasWaiters());
  event.NotifyAll();
  event.CancelWait(second);
  EXPECT_FALSE(event.HasWaiters());
}

TEST(EventCountTest, NotificationBeforePrepareDoesNotCount) {
  EventCount event;
  event.NotifyAll();
  EXPECT_EQ(event.Wait(event.PrepareWait(), absl::Now() + absl::Milliseconds(1)), WaitResult::kTimeout);
}

TEST(EventCountTest, NotifyOneReleasesOneSleeper) {
  EventCount event;
  std::atomic<int> awake{0};
  std::vector<std::thread> sleepers;
  for (int i = 0; i < 3; ++i) {
    const uint32_t key = event.PrepareWait();
    sleepers.emplace_back([&, key] {
      EXPECT_EQ(event.Wait(key), WaitResult::kNotified);
      awake.fetch_add(1);
    });
    WaitUntilAsleep(i + 1);
  }
  for (int released = 1; released <= 3; ++released) {
    EXPECT_TRUE(event.HasWaiters());
    event.NotifyOne();
    while (awake.load() < released) std::this_thread::yield();
    WaitUntilAsleep(3 - released);
    EXPECT_EQ(awake.load(), released);
  }
  EXPECT_FALSE(event.HasWaiters());
  for (std::thread& sleeper : sleepers) sleeper.join();
}

TEST(EventCountTest, AWaiterThatWasReleasedDoesNotTimeOut) {
  EventCount event;
  uint32_t key = event.PrepareWait();
  event.NotifyOne();
  EXPECT_EQ(event.Wait(key, Deadline::After(absl::ZeroDuration())), WaitResult::kNotified);
}

TEST(EventCountTest, AnInterruptEndsAWait) {
  EventCount event;
  Interrupt interrupt;
  const uint32_t ticket = interrupt.ticket();
  const uint32_t key = event.PrepareWait();
  std::thread sleeper([&] {
    event.Wait(key, Deadline::Infinite(), &interrupt, ticket);
    EXPECT_EQ(event.Wait(event.PrepareWait(), Deadline::Infinite(), &interrupt, ticket), WaitResult::kInterrupted);
  });
  WaitUntilAsleep(1);
  interrupt.Raise();
  sleeper.join();
  EXPECT_FALSE(event.HasWaiters());
}

// More than an interrupt has places for at first.
TEST(EventCountTest, AnInterruptEndsManyWaits) {
  constexpr int kSleepers = 20;
  std::array<EventCount, kSleepers> events;
  Interrupt interrupt;
  for (int round = 0; round < 3; ++round) {
    const uint32_t ticket = interrupt.ticket();
    std::vector<std::thread> sleepers;
    for (EventCount& event : events) {
      sleepers.emplace_back(
          [&, key = event.PrepareWait()] { event.Wait(key, Deadline::Infinite(), &interrupt, ticket); });
    }
    WaitUntilAsleep(kSleepers);
    interrupt.Raise();
    for (std::thread& sleeper : sleepers) sleeper.join();
    for (EventCount& event : events) EXPECT_FALSE(event.HasWaiters());
  }
}

// Who is released by both is uncounted once.
TEST(EventCountTest, AnInterruptAndANotificationAtOnce) {
  EventCount event;
  Interrupt interrupt;
  for (int round = 0; round < 2000; ++round) {
    const uint32_t ticket = interrupt.ticket();
    const uint32_t key = event.PrepareWait();
    std::thread sleeper([&] { event.Wait(key, Deadline::Infinite(), &interrupt, ticket); });
    if (round % 2 == 0) {
      // Now and then it sleeps by then, and both wake it before it runs.
      if (round % 4 == 0) WaitUntilAsleep(1);
      interrupt.Raise();
      event.NotifyOne();
    } else {
      event.NotifyOne();
      interrupt.Raise();
    }
    sleeper.join();
    ASSERT_FALSE(event.HasWaiters()) << round;
  }
}

TEST(EventCountTest, AnInterruptBeforeTheWaitCounts) {
  EventCount event;
  Interrupt interrupt;
  const uint32_t ticket = interrupt.ticket();
  interrupt.Raise();
  EXPECT_EQ(event.Wait(event.PrepareWait(), Deadline::Infinite(), &interrupt, ticket), WaitResult::kInterrupted);
  // One that came before the ticket was read does not.
  EXPECT_EQ(event.Wait(event.PrepareWait(), Deadline::After(absl::Milliseconds(1)), &interrupt, interrupt.ticket()),
            WaitResult::kTimeout);
}

TEST(DeadlineTest, Moments) {
  EXPECT_TRUE(Deadline().infinite());
  EXPECT_TRUE(Deadline(absl::InfiniteFuture()).infinite());
  EXPECT_TRUE(Deadline::After(absl::InfiniteDuration()).infinite());
  EXPECT_TRUE(Deadline::After(absl::ZeroDuration()).Passed());
  EXPECT_TRUE(Deadline(absl::InfinitePast()).Passed());
  EXPECT_EQ(Deadline(absl::InfinitePast()).Left(), absl::ZeroDuration());
  EXPECT_FALSE(Deadline::After(absl::Hours(1)).Passed());
  EXPECT_GT(Deadline(absl::Now() + absl::Hours(1)).Left(), absl::Minutes(59));
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
  spin.Slept({}, AdaptiveSpin::Clock::time_point(std::chrono::microseconds(20)));
  spin.Slept({}, AdaptiveSpin::Clock::time_point(std::chrono::seconds(1)));
  spin.Slept({}, AdaptiveSpin::Clock::time_point(std::chrono::microseconds(20)));
  EXPECT_EQ(looks(), 1);
  spin.Slept({}, AdaptiveSpin::Clock::time_point(std::chrono::microseconds(20)));
  EXPECT_GT(looks(), 1);
}

TEST(AdaptiveSpinTest, NeverLetsAllCoresPoll) {
  cpu_set_t cores;
  ASSERT_EQ(sched_getaffinity(0, sizeof cores, &cores), 0);
  std::atomic<int> polling{0};
  std::atomic<bool> enough{false};
  std::vector<std::thread> pollers;
  for (int i = 0; i < CPU_COUNT(&cores) - 1; ++i) {
    pollers.emplace_back([&] {
      AdaptiveSpin spin;
      bool first = true;
      spin.Spin([&] {
        if (std::exchange(first, false)) return false;  // that look is everybody's
        polling.fetch_add(1);
        while (!enough.load()) std::this_thread::yield();
        return true;
      });
    });
  }
  while (polling.load() < CPU_COUNT(&cores) - 1) std::this_thread::yield();
  AdaptiveSpin spin;
  int looks = 0;
  EXPECT_FALSE(spin.Spin([&] {
    ++looks;
    return false;
  }));
  EXPECT_EQ(looks, 1);
  enough.store(true);
  for (std::thread& poller : pollers) poller.join();
}

// The race detector watches.
TEST(AdaptiveSpinTest, WaitersLearnTogether) {
  AdaptiveSpin spin;
  std::vector<std::thread> waiters;
  for (int i = 0; i < 3; ++i) {
    waiters.emplace_back([&, i] {
      for (int k = 0; k < 100; ++k) {
        int looks = 0;
        spin.Spin([&] { return ++looks > i; });
        spin.Slept({}, AdaptiveSpin::Clock::time_point(std::chrono::microseconds(k)));
      }
    });
  }
  for (std::thread& waiter : waiters) waiter.join();
}

// Two threads that pass something to and fro at once: polling without a look at the clock.
TEST(AdaptiveSpinTest, PollsBrieflyOnceThatWasEnough) {
  AdaptiveSpin spin;
  const auto looks = [&] {
    int count = 0;
    EXPECT_FALSE(spin.SpinBriefly([&] {
      ++count;
      return false;
    }));
    return count;
  };
  EXPECT_EQ(looks(), 1);
  int rounds = 0;
  EXPECT_TRUE(spin.Spin([&] { return ++rounds == 3; }));
  EXPECT_GT(looks(), 1);
  EXPECT_EQ(looks(), 1) << "it was not enough";
}

TEST(AdaptiveSpinTest, DoesNotPollForOneThatItHasJustWokenAfterAPause) {
  AdaptiveSpin spin;
  spin.WaitsForSleeper();  // forgets whom this thread has woken in other tests
  EXPECT_FALSE(spin.WaitsForSleeper());
  AdaptiveSpin::Woke();
  EXPECT_TRUE(spin.WaitsForSleeper());
  EXPECT_FALSE(spin.WaitsForSleeper()) << "that was said once";
  const auto now = AdaptiveSpin::Clock::now();
  spin.Slept(now, now + std::chrono::hours(1));  // a wait has just ended: no pause
  AdaptiveSpin::Woke();
  EXPECT_FALSE(spin.WaitsForSleeper());
}

TEST(AdaptiveSpinTest, SeesWhatIsReady) {
  AdaptiveSpin spin;
  EXPECT_TRUE(spin.Spin([] { return true; }));
}

}  // namespace
}  // namespace interpd::channels
