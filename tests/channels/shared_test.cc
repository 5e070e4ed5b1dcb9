#include "channels/shared.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace interpd::channels {
namespace {

// Says when it goes, and holds another.
class Link : public Shared {
 public:
  Link(std::atomic<int>* gone, Ref<Shared> next) : gone_(gone), next_(std::move(next)) {}

 private:
  ~Link() override { gone_->fetch_add(1); }

  std::atomic<int>* gone_;
  Ref<Shared> next_;
};

TEST(SharedTest, GoesWithItsLastOwner) {
  std::atomic<int> gone = 0;
  const int64_t before = Shared::live_count();
  Ref<Link> one = MakeRef<Link>(&gone, nullptr);
  EXPECT_EQ(Shared::live_count(), before + 1);
  EXPECT_TRUE(one->IsOnlyOwner());
  Ref<Shared> two = one;
  EXPECT_FALSE(one->IsOnlyOwner());
  one = nullptr;
  EXPECT_EQ(gone, 0);
  EXPECT_TRUE(two->IsOnlyOwner());
  Ref<Shared> three = std::move(two);
  EXPECT_FALSE(two);  // NOLINT(bugprone-use-after-move): that is what is promised
  Shared* raw = three.release();
  EXPECT_EQ(gone, 0);
  raw->Unref();
  EXPECT_EQ(gone, 1);
  EXPECT_EQ(Shared::live_count(), before);
}

TEST(SharedTest, AssigningAReferenceToItselfKeepsTheObject) {
  std::atomic<int> gone = 0;
  Ref<Link> link = MakeRef<Link>(&gone, nullptr);
  Ref<Link>& same = link;
  link = same;
  EXPECT_EQ(gone, 0);
  EXPECT_TRUE(link->IsOnlyOwner());
}

TEST(SharedTest, ALongChainGoesWithoutRecursion) {
  std::atomic<int> gone = 0;
  constexpr int kLinks = 1'000'000;  // recursion would need some hundred megabytes of stack
  Ref<Shared> first;
  for (int i = 0; i < kLinks; ++i) first = MakeRef<Link>(&gone, std::move(first));
  first = nullptr;
  EXPECT_EQ(gone, kLinks);
}

TEST(SharedTest, ManyThreadsDropItOnce) {
  std::atomic<int> gone = 0;
  for (int round = 0; round < 200; ++round) {
    Ref<Link> link = MakeRef<Link>(&gone, nullptr);
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([link] {
        for (int j = 0; j < 100; ++j) Ref<Link> copy = link;
      });
    }
    link = nullptr;
    for (std::thread& thread : threads) thread.join();
    ASSERT_EQ(gone, round + 1);
  }
}

}  // namespace
}  // namespace interpd::channels
