// Threads for long work: how many there are, that nothing is lost, that the owner waits.
#include "daemon/worker_threads.h"

#include <gtest/gtest.h>

#include <atomic>
#include <vector>

#include "absl/synchronization/notification.h"

namespace interpd::daemon {
namespace {

TEST(WorkerThreadsTest, RunEverythingBeforeTheyStop) {
  std::atomic<int> done = 0;
  {
    WorkerThreads threads(3);
    for (int i = 0; i < 1000; ++i) threads.Submit([&] { ++done; });
  }
  EXPECT_EQ(done, 1000);
}

TEST(WorkerThreadsTest, AsManyJobsRunAtOnceAsThereAreThreads) {
  WorkerThreads threads(2);
  // Neither goes on without the other.
  absl::Notification first, second;
  threads.Submit([&] {
    first.Notify();
    second.WaitForNotification();
  });
  threads.Submit([&] {
    second.Notify();
    first.WaitForNotification();
  });
  threads.Stop();
  EXPECT_TRUE(first.HasBeenNotified() && second.HasBeenNotified());
}

TEST(WorkerThreadsTest, ALoneThreadKeepsTheOrder) {
  std::vector<int> order;
  WorkerThreads threads(1);
  for (int i = 0; i < 100; ++i) threads.Submit([&order, i] { order.push_back(i); });
  threads.Stop();
  for (int i = 0; i < 100; ++i) EXPECT_EQ(order[i], i);
}

TEST(WorkerThreadsTest, StopWithoutWork) { WorkerThreads(4).Stop(); }

}  // namespace
}  // namespace interpd::daemon
