#include "channels/scq_ring.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <set>
#include <thread>
#include <vector>

namespace interpd::channels {
namespace {

using Item = std::unique_ptr<int>;

TEST(ScqRingTest, FirstInFirstOutAtEveryCapacity) {
  for (size_t capacity = 1; capacity <= 4096; capacity *= 2) {
    ScqRing<Item> ring(capacity);
    EXPECT_EQ(ring.capacity(), capacity);
    int pushed = 0, popped = 0;
    // Many laps, with the ring between empty and full.
    for (int round = 0; round < 20; ++round) {
      while (true) {
        Item item = std::make_unique<int>(pushed);
        if (!ring.TryPush(item)) {
          ASSERT_NE(item, nullptr);  // a refused item stays with who offered it
          break;
        }
        ASSERT_EQ(item, nullptr);
        ++pushed;
      }
      ASSERT_EQ(pushed - popped, capacity);
      ASSERT_EQ(ring.SizeGuess(), capacity);
      const int rest = round % 2 == 0 ? 0 : static_cast<int>(capacity / 2);
      Item item;
      while (pushed - popped > rest) {
        ASSERT_TRUE(ring.TryPop(&item));
        ASSERT_EQ(*item, popped++);
      }
      if (rest == 0) {
        EXPECT_FALSE(ring.TryPop(&item));
      }
    }
  }
}

TEST(ScqRingTest, AnEmptyRingStaysUsableHoweverOftenItIsAsked) {
  ScqRing<Item> ring(2);
  Item item;
  for (int i = 0; i < 100'000; ++i) ASSERT_FALSE(ring.TryPop(&item));
  item = std::make_unique<int>(1);
  ASSERT_TRUE(ring.TryPush(item));
  ASSERT_TRUE(ring.TryPop(&item));
  EXPECT_EQ(*item, 1);
}

// Counts how many are alive.
struct Counted {
  explicit Counted(std::atomic<int>* alive) : alive(alive) { alive->fetch_add(1); }
  Counted(Counted&& other) noexcept : alive(other.alive) { alive->fetch_add(1); }
  Counted& operator=(Counted&&) noexcept = default;
  ~Counted() { alive->fetch_sub(1); }
  std::atomic<int>* alive;
};

TEST(ScqRingTest, DestroysWhatIsLeft) {
  std::atomic<int> alive{0};
  {
    ScqRing<Counted> ring(8);
    for (int i = 0; i < 5; ++i) {
      Counted item(&alive);
      ASSERT_TRUE(ring.TryPush(item));
    }
    Counted taken(&alive);
    ASSERT_TRUE(ring.TryPop(&taken));
    EXPECT_EQ(alive.load(), 5);
  }
  EXPECT_EQ(alive.load(), 0);
}

// Each item arrives once, and those of one producer in order.
void Exchange(size_t capacity, int producers, int consumers, int items_each) {
  struct Item {
    uint32_t producer = 0;
    uint32_t number = 0;
    std::unique_ptr<uint64_t> body;  // the sanitizers see when it is read before it is visible
  };
  ScqRing<Item> ring(capacity);
  std::atomic<int> left{producers * items_each};
  std::vector<std::vector<Item>> received(consumers);
  std::vector<std::thread> threads;
  for (int p = 0; p < producers; ++p) {
    threads.emplace_back([&, p] {
      for (int i = 0; i < items_each; ++i) {
        Item item = {static_cast<uint32_t>(p), static_cast<uint32_t>(i), std::make_unique<uint64_t>(i)};
        while (!ring.TryPush(item)) std::this_thread::yield();
      }
    });
  }
  for (int c = 0; c < consumers; ++c) {
    threads.emplace_back([&, c] {
      Item item;
      while (left.load(std::memory_order_relaxed) > 0) {
        if (!ring.TryPop(&item)) {
          std::this_thread::yield();
          continue;
        }
        left.fetch_sub(1, std::memory_order_relaxed);
        ASSERT_EQ(*item.body, item.number);
        received[c].push_back(std::move(item));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::vector<std::set<uint32_t>> numbers(producers);
  for (const auto& list : received) {
    std::vector<int64_t> last(producers, -1);
    for (const Item& item : list) {
      ASSERT_GT(item.number, last[item.producer]);
      last[item.producer] = item.number;
      ASSERT_TRUE(numbers[item.producer].insert(item.number).second);
    }
  }
  for (const auto& set : numbers) EXPECT_EQ(set.size(), items_each);
}

TEST(ScqRingTest, ManyThreads) {
  for (size_t capacity : {1, 2, 64, 1024}) {
    Exchange(capacity, 1, 1, 20'000);
    Exchange(capacity, 4, 4, 10'000);
    Exchange(capacity, 1, 6, 20'000);
    Exchange(capacity, 6, 1, 5'000);
  }
}

TEST(ScqRingDeathTest, RefusesOddCapacities) {
  EXPECT_DEATH(ScqRing<Item>(3), "3");
  EXPECT_DEATH(ScqRing<Item>(size_t{1} << 25), "33554432");
}

}  // namespace
}  // namespace interpd::channels
