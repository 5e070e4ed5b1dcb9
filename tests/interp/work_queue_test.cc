#include "interp/work_queue.h"

#include <gtest/gtest.h>

#include <map>
#include <thread>
#include <vector>

namespace interpd::interp {
namespace {

std::atomic<int> alive{0};

class NumberedWork : public Work {
 public:
  NumberedWork(int pusher, int number) : Work(CallRequest{}), pusher(pusher), number(number) { ++alive; }
  ~NumberedWork() override { --alive; }
  bool Output(Stream, std::string_view) override { return true; }
  void Done(absl::StatusOr<Result>) override {}
  const int pusher, number;
};

std::shared_ptr<Work> Numbered(int number) { return std::make_shared<NumberedWork>(0, number); }
int Number(const std::shared_ptr<Work>& work) { return static_cast<NumberedWork&>(*work).number; }

TEST(WorkQueueTest, FirstComeFirstServed) {
  WorkQueue queue(10);
  EXPECT_EQ(queue.Pop(), nullptr);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(queue.Push(Numbered(i)), WorkQueue::PushResult::kPushed);
  EXPECT_EQ(Number(queue.Pop()), 0);
  queue.Leave();
  queue.Push(Numbered(3));
  for (int i = 1; i < 4; ++i) {
    EXPECT_EQ(Number(queue.Pop()), i);
    queue.Leave();
  }
  EXPECT_EQ(queue.Pop(), nullptr);
  EXPECT_EQ(queue.waiting(), 0u);
}

TEST(WorkQueueTest, Limit) {
  WorkQueue queue(2);
  queue.Push(Numbered(0));
  queue.Push(Numbered(1));
  EXPECT_EQ(queue.Push(Numbered(2)), WorkQueue::PushResult::kFull);
  queue.Pop();
  EXPECT_EQ(queue.Push(Numbered(2)), WorkQueue::PushResult::kFull);
  queue.Leave();
  EXPECT_EQ(queue.Push(Numbered(3)), WorkQueue::PushResult::kPushed);
}

TEST(WorkQueueTest, CloseHandsOutTheRestInOrder) {
  WorkQueue queue(10);
  for (int i = 0; i < 3; ++i) queue.Push(Numbered(i));
  queue.Pop();  // 1 and 2 are taken, 3 is not
  queue.Push(Numbered(3));
  std::vector<std::shared_ptr<Work>> rest = queue.Close();
  ASSERT_EQ(rest.size(), 3u);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Number(rest[i]), i + 1);
  EXPECT_EQ(queue.Push(Numbered(4)), WorkQueue::PushResult::kClosed);
  EXPECT_TRUE(queue.Close().empty());
  EXPECT_EQ(queue.Pop(), nullptr);
}

TEST(WorkQueueTest, NothingIsLostAndNobodyOvertakesHimself) {
  constexpr int kPushers = 4;
  constexpr int kEach = 20000;
  alive = 0;
  {
    WorkQueue queue(64);
    std::vector<std::thread> pushers;
    for (int p = 0; p < kPushers; ++p) {
      pushers.emplace_back([&, p] {
        for (int i = 0; i < kEach; ++i) {
          auto work = std::make_shared<NumberedWork>(p, i);
          while (queue.Push(work) != WorkQueue::PushResult::kPushed) std::this_thread::yield();
        }
      });
    }
    std::map<int, int> next;
    for (int popped = 0; popped < kPushers * kEach;) {
      std::shared_ptr<Work> work = queue.Pop();
      if (!work) {
        uint32_t key = queue.event().PrepareWait();
        if (queue.HasWork()) {
          queue.event().CancelWait(key);
        } else {
          queue.event().Wait(key);
        }
        continue;
      }
      queue.Leave();
      auto& numbered = static_cast<NumberedWork&>(*work);
      ASSERT_EQ(numbered.number, next[numbered.pusher]++);
      ++popped;
    }
    for (std::thread& pusher : pushers) pusher.join();
    queue.Push(Numbered(0));  // destroyed with the queue
  }
  EXPECT_EQ(alive, 0);
}

TEST(WorkQueueTest, CloseAgainstPushers) {
  for (int round = 0; round < 200; ++round) {
    alive = 0;
    {
      WorkQueue queue(1000);
      std::atomic<int> pushed{0};
      std::vector<std::thread> pushers;
      for (int p = 0; p < 2; ++p) {
        pushers.emplace_back([&, p] {
          for (int i = 0; i < 50; ++i) {
            if (queue.Push(std::make_shared<NumberedWork>(p, i)) == WorkQueue::PushResult::kPushed) ++pushed;
          }
        });
      }
      int popped = queue.Pop() != nullptr;
      size_t rest = queue.Close().size();
      for (std::thread& pusher : pushers) pusher.join();
      EXPECT_EQ(pushed, popped + static_cast<int>(rest));
    }
    EXPECT_EQ(alive, 0);
  }
}

}  // namespace
}  // namespace interpd::interp
