#include "channels/mpmc_ring.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "channels/value.h"

namespace interpd::channels {
namespace {

// Half of the values own memory, which the sanitizers watch; all tell their number.
Value MakeItem(int64_t number) {
  return number % 2 == 0 ? Value::Int(number) : Value::Str("the value of number " + std::to_string(number));
}

int64_t NumberOf(const Value& value) {
  Node node = ValueReader(value).Next();
  return node.kind == Kind::kInt ? node.int_value : std::stoll(std::string(node.bytes.substr(20)));
}

TEST(MpmcRingTest, FirstInFirstOutAtEveryCapacity) {
  for (size_t capacity : {1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 100, 256, 1000, 4096}) {
    MpmcRing<Value> ring(capacity);
    EXPECT_EQ(ring.capacity(), capacity);
    int64_t pushed = 0, popped = 0;
    // Many laps, with the ring between empty and full.
    for (int round = 0; round < 20; ++round) {
      while (true) {
        Value item = MakeItem(pushed);
        if (!ring.TryPush(item)) {
          ASSERT_EQ(NumberOf(item), pushed);  // a refused item stays with who offered it
          break;
        }
        ASSERT_EQ(item.kind(), Kind::kNone);
        ++pushed;
      }
      ASSERT_EQ(pushed - popped, capacity);
      ASSERT_EQ(ring.SizeGuess(), capacity);
      const int64_t rest = round % 2 == 0 ? 0 : static_cast<int64_t>(capacity / 2);
      Value item;
      while (pushed - popped > rest) {
        ASSERT_TRUE(ring.TryPop(&item));
        ASSERT_EQ(NumberOf(item), popped++);
      }
      if (rest == 0) {
        EXPECT_FALSE(ring.TryPop(&item));
        EXPECT_EQ(ring.SizeGuess(), 0);
      }
    }
  }
}

TEST(MpmcRingTest, ManyAtOnce) {
  MpmcRing<Value> ring(16);
  int64_t pushed = 0, popped = 0;
  for (size_t offered : {0, 1, 5, 16, 20}) {
    for (size_t wanted : {0, 3, 16, 40}) {
      std::vector<Value> items;
      for (size_t i = 0; i < offered; ++i) items.push_back(MakeItem(pushed + i));
      const size_t room = 16 - (pushed - popped);
      const size_t done = ring.TryPushMany(items.data(), items.size());
      ASSERT_EQ(done, std::min(offered, room));
      for (size_t i = 0; i < offered; ++i) {
        if (i < done) {
          ASSERT_EQ(items[i].kind(), Kind::kNone);
        } else {
          ASSERT_EQ(NumberOf(items[i]), pushed + i);
        }
      }
      pushed += done;
      std::vector<Value> taken(wanted);
      const size_t got = ring.TryPopMany(taken.data(), wanted);
      ASSERT_EQ(got, std::min<size_t>(wanted, pushed - popped));
      for (size_t i = 0; i < got; ++i) ASSERT_EQ(NumberOf(taken[i]), popped++);
    }
  }
}

// All eight bits of a tag and all of a body come through.
struct Wide {
  uint64_t body = 0;
  uint8_t tag = 0;
  Wide() = default;
  Wide(uint64_t body, uint8_t tag) : body(body), tag(tag) {}
  Wide(Wide&&) = default;
  Wide& operator=(Wide&&) = default;
  Packed Pack() const { return {body, tag}; }
  void Forget() {}
  static Wide Unpack(Packed packed) { return Wide(packed.body, packed.tag); }
};

TEST(MpmcRingTest, EveryBitComesThrough) {
  MpmcRing<Wide> ring(4);
  for (uint64_t body : {uint64_t{0}, uint64_t{1}, ~uint64_t{0}, uint64_t{1} << 63}) {
    for (int tag = 0; tag < 256; ++tag) {
      Wide item(body, static_cast<uint8_t>(tag));
      ASSERT_TRUE(ring.TryPush(item));
      Wide popped;
      ASSERT_TRUE(ring.TryPop(&popped));
      ASSERT_EQ(popped.body, body);
      ASSERT_EQ(popped.tag, tag);
    }
  }
  MpmcRing<double> numbers(1);
  double number = -0.5;
  ASSERT_TRUE(numbers.TryPush(number));
  number = 0;
  ASSERT_TRUE(numbers.TryPop(&number));
  EXPECT_EQ(number, -0.5);
}

// The leak sanitizer tells.
TEST(MpmcRingTest, DestroysWhatIsLeft) {
  MpmcRing<Value> ring(8);
  for (int i = 0; i < 5; ++i) {
    Value item = Value::Bytes("something that lies in a block of its own");
    ASSERT_TRUE(ring.TryPush(item));
  }
}

// Each item arrives once, and those of one producer in order. Batches of several and of one.
void Exchange(size_t capacity, int producers, int consumers, int items_each, size_t batch) {
  MpmcRing<Value> ring(capacity);
  std::atomic<int> left{producers * items_each};
  std::vector<std::vector<int64_t>> received(consumers);
  std::vector<std::thread> threads;
  for (int p = 0; p < producers; ++p) {
    threads.emplace_back([&, p] {
      for (int i = 0; i < items_each;) {
        std::vector<Value> items;
        for (size_t k = 0; k < batch && i + static_cast<int>(k) < items_each; ++k) {
          items.push_back(MakeItem(int64_t{p} * items_each + i + static_cast<int64_t>(k)));
        }
        for (size_t done = 0; done < items.size();) {
          const size_t more = ring.TryPushMany(items.data() + done, items.size() - done);
          if (more == 0) std::this_thread::yield();
          done += more;
        }
        i += static_cast<int>(items.size());
      }
    });
  }
  for (int c = 0; c < consumers; ++c) {
    threads.emplace_back([&, c] {
      std::vector<Value> items(batch);
      while (left.load(std::memory_order_relaxed) > 0) {
        const size_t got = ring.TryPopMany(items.data(), batch);
        if (got == 0) std::this_thread::yield();
        left.fetch_sub(static_cast<int>(got), std::memory_order_relaxed);
        for (size_t i = 0; i < got; ++i) received[c].push_back(NumberOf(items[i]));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::set<int64_t> all;
  for (const auto& list : received) {
    std::vector<int64_t> last(producers, -1);
    for (int64_t number : list) {
      int64_t& before = last[number / items_each];
      ASSERT_GT(number, before);
      before = number;
      ASSERT_TRUE(all.insert(number).second);
    }
  }
  EXPECT_EQ(all.size(), producers * items_each);
}

TEST(MpmcRingTest, ManyThreads) {
  for (size_t capacity : {1, 2, 3, 64, 100, 1024}) {
    // A small ring is full or empty at each turn: every item costs a switch of threads.
    const int items = capacity < 64 ? 300 : 6000;
    for (size_t batch : {1, 7}) {
      Exchange(capacity, 1, 1, items, batch);
      Exchange(capacity, 4, 4, items / 4, batch);
      Exchange(capacity, 1, 6, items, batch);
      Exchange(capacity, 6, 1, items / 6, batch);
    }
  }
}

using Ring = MpmcRing<Value>;

TEST(MpmcRingTest, ClosedWithWhatIsInIt) {
  for (size_t capacity : {1, 2, 3, 5, 8}) {
    for (size_t before = 0; before <= 2 * capacity; ++before) {
      for (size_t left = 0; left <= std::min(before, capacity); ++left) {
        Ring ring(capacity);
        size_t pushed = 0, popped = 0;
        Value item;
        while (pushed < before) {
          if (pushed - popped == capacity || (pushed - popped > left && popped % 2 == 0)) {
            ASSERT_TRUE(ring.TryPop(&item));
            ASSERT_EQ(NumberOf(item), popped++);
          }
          item = MakeItem(static_cast<int64_t>(pushed++));
          ASSERT_TRUE(ring.TryPush(item));
        }
        while (pushed - popped > left) {
          ASSERT_TRUE(ring.TryPop(&item));
          ASSERT_EQ(NumberOf(item), popped++);
        }
        ASSERT_EQ(ring.PushState(), left == capacity ? Ring::State::kFull : Ring::State::kReady);
        ASSERT_TRUE(ring.Close());
        ASSERT_FALSE(ring.Close());
        for (; popped < pushed; ++popped) {
          ASSERT_EQ(ring.PushState(), Ring::State::kClosed);
          ASSERT_EQ(ring.PopState(), Ring::State::kReady);
          item = MakeItem(77);
          ASSERT_FALSE(ring.TryPush(item));
          ASSERT_EQ(NumberOf(item), 77);
          ASSERT_TRUE(ring.TryPop(&item));
          ASSERT_EQ(NumberOf(item), popped);
        }
        ASSERT_FALSE(ring.TryPop(&item));
        ASSERT_FALSE(ring.TryPush(item));
        ASSERT_EQ(ring.PushState(), Ring::State::kClosed);
        ASSERT_EQ(ring.PopState(), Ring::State::kClosed);
        ASSERT_FALSE(ring.Close());
        ASSERT_EQ(ring.pushed(), pushed);
        ASSERT_EQ(ring.popped(), pushed);
      }
    }
  }
}

// What was pushed before the ring was closed is popped, and nothing after "closed" was seen.
TEST(MpmcRingTest, CloseAmongPushesAndPops) {
  for (size_t capacity : {1, 3, 8}) {
    for (int round = 0; round < 100; ++round) {
      Ring ring(capacity);
      std::atomic<int64_t> pushed{0}, popped{0};
      std::atomic<bool> drained{false}, late{false};
      std::vector<std::thread> threads;
      for (int p = 0; p < 2; ++p) {
        threads.emplace_back([&] {
          while (ring.PushState() != Ring::State::kClosed) {
            Value item = Value::Bytes("something that lies in a block of its own");
            if (ring.TryPush(item)) {
              pushed.fetch_add(1);
            } else {
              std::this_thread::yield();
            }
          }
        });
      }
      for (int c = 0; c < 2; ++c) {
        threads.emplace_back([&] {
          Value item;
          while (true) {
            const bool closed = drained.load();
            if (ring.TryPop(&item)) {
              popped.fetch_add(1);
              if (closed) late = true;
            } else if (ring.PopState() == Ring::State::kClosed) {
              drained = true;
              break;
            } else {
              std::this_thread::yield();
            }
          }
        });
      }
      while (popped.load() < 20) std::this_thread::yield();
      EXPECT_TRUE(ring.Close());
      for (std::thread& thread : threads) thread.join();
      ASSERT_EQ(pushed.load(), popped.load());
      ASSERT_FALSE(late.load());
    }
  }
}

TEST(MpmcRingDeathTest, RefusesOddCapacities) {
  EXPECT_DEATH(MpmcRing<int>(0), "0");
  EXPECT_DEATH(MpmcRing<int>(size_t{1} << 25), "33554432");
}

}  // namespace
}  // namespace interpd::channels
