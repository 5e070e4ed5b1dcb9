// What every flavour promises, one list over all of them: many values, values that come back, and their lives.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "channels/channel.h"
#include "tests/channels/conformance.h"
#include "tests/channels/flavours.h"
#include "tests/testing/threads.h"

namespace interpd::channels {
namespace {

INSTANTIATE_TEST_SUITE_P(Flavours, ChannelTest, ::testing::ValuesIn(kAllFlavours), ::testing::PrintToStringParamName());
INSTANTIATE_TEST_SUITE_P(Flavours, BufferedChannelTest, ::testing::ValuesIn(kBufferedFlavours),
                         ::testing::PrintToStringParamName());

// ---- many values -----------------------------------------------------------------------------------------------

TEST_P(ChannelTest, OneToOneKeepsTheOrder) {
  constexpr int64_t kCount = 20'000;
  std::thread sender([&] {
    for (int64_t i = 0; i < kCount; ++i) ASSERT_EQ(SendInt(in_, i), Outcome::kDone);
    in_.Close();
  });
  for (int64_t i = 0; i < kCount; ++i) ASSERT_EQ(RecvInt(out_), i);
  EXPECT_EQ(RecvInt(out_), -1);
  sender.join();
}

TEST_P(ChannelTest, ManyToManyEachOnce) {
  constexpr int kThreads = 4;
  constexpr int64_t kEach = 3'000;
  std::vector<std::atomic<int>> seen(kThreads * kEach);
  auto receivers = Start(kThreads, [&](int) {
    std::vector<int64_t> last(kThreads, -1);
    for (int64_t got; (got = RecvInt(out_)) >= 0;) {
      ++seen[got];
      ASSERT_GT(got % kEach, last[got / kEach]);
      last[got / kEach] = got % kEach;
    }
  });
  auto senders = Start(kThreads, [&](int s) {
    for (int64_t i = 0; i < kEach; ++i) ASSERT_EQ(SendInt(in_, s * kEach + i), Outcome::kDone);
  });
  Join(senders);
  in_.Close();
  Join(receivers);
  for (const auto& times : seen) ASSERT_EQ(times, 1);
}

TEST_P(ChannelTest, SendManyAndRecvMany) {
  constexpr int64_t kCount = 5'000;
  std::thread sender([&] {
    for (int64_t next = 0; next < kCount;) {
      std::vector<Value> values;
      for (int64_t i = 0; i < 1 + next % 100 && next + i < kCount; ++i) values.push_back(Value::Int(next + i));
      size_t sent = 0;
      ASSERT_EQ(in_.SendMany(absl::MakeSpan(values), &sent, {}), Outcome::kDone);
      ASSERT_EQ(sent, values.size());
      next += static_cast<int64_t>(sent);
    }
    in_.Close();
  });
  int64_t next = 0;
  for (size_t max = 1;; max = max % 150 + 1) {
    std::vector<Value> values;
    const Outcome outcome = out_.RecvMany(max, &values, {});
    if (outcome != Outcome::kDone) {
      EXPECT_EQ(outcome, Outcome::kClosed);
      break;
    }
    ASSERT_GE(values.size(), 1);
    ASSERT_LE(values.size(), max);
    for (const Value& value : values) ASSERT_EQ(IntOf(value), next++);
  }
  EXPECT_EQ(next, kCount);
  sender.join();
  std::vector<Value> none;
  EXPECT_EQ(out_.RecvMany(0, &none, {}), Outcome::kDone);
}

TEST_P(BufferedChannelTest, SendManyTellsHowFarItCame) {
  const size_t capacity = GetParam().capacity;
  std::vector<Value> values;
  for (size_t i = 0; i < capacity + 2; ++i) values.push_back(Value::Int(static_cast<int64_t>(i)));
  size_t sent = 0;
  EXPECT_EQ(in_.SendMany(absl::MakeSpan(values), &sent, For(absl::Milliseconds(5))), Outcome::kTimeout);
  EXPECT_EQ(sent, capacity);
  EXPECT_EQ(values[capacity], Value::Int(static_cast<int64_t>(capacity)));
  std::vector<Value> got;
  EXPECT_EQ(out_.RecvMany(capacity + 2, &got, {}), Outcome::kDone);
  EXPECT_EQ(got.size(), capacity);
}

TEST_P(ChannelTest, OneShots) {
  for (int i = 0; i < 500; ++i) {
    Pipe pipe(GetParam());
    std::thread sender([&] { EXPECT_EQ(SendInt(*pipe.in, i), Outcome::kDone); });
    EXPECT_EQ(RecvInt(*pipe.out), i);
    sender.join();
  }
}

// Of a hundred who sleep, one message wakes about one.
TEST_P(BufferedChannelTest, AMessageWakesOne) {
  constexpr int kWaiters = 100;
  auto threads = Start(kWaiters, [&](int) { EXPECT_GE(RecvInt(out_), 0); });
  testing::WaitUntilAsleep(kWaiters);
  const int64_t before = testing::SleepsSoFar();
  for (int i = 0; i < 10; ++i) {
    ASSERT_EQ(SendInt(in_, i), Outcome::kDone);
    testing::WaitUntilAsleep(kWaiters - 1 - i);
  }
  // Those that received are gone with their counts; of the others nobody should have woken. Ours are few.
  EXPECT_LT(testing::SleepsSoFar() - before, 50);
  for (int i = 10; i < kWaiters; ++i) ASSERT_EQ(SendInt(in_, i), Outcome::kDone);
  Join(threads);
}

// ---- returning --------------------------------------------------------------------------------------------------

TEST_P(ChannelTest, ReturnedValuesComeFirstAndInOrder) {
  std::thread sender([&] {
    for (int64_t i = 0; i < 5; ++i) ASSERT_EQ(SendInt(in_, i), Outcome::kDone);
  });
  std::vector<Value> got(3);
  for (Value& value : got) ASSERT_EQ(out_.Recv(&value, {}), Outcome::kDone);
  std::vector<Value> last;
  last.push_back(std::move(got[2]));
  got.pop_back();
  out_.Return(std::move(last));
  out_.Return(std::move(got));
  for (int64_t i = 0; i < 5; ++i) EXPECT_EQ(RecvInt(out_), i);
  sender.join();
  out_.Return({});
  EXPECT_EQ(TryRecvInt(out_), -1);
}

TEST_P(ChannelTest, AReturnWakesReceivers) {
  auto threads = Start(3, [&](int) { EXPECT_GE(RecvInt(out_), 0); });
  testing::WaitUntilAsleep(3);
  std::vector<Value> values;
  for (int64_t i = 0; i < 3; ++i) values.push_back(Value::Int(i));
  out_.Return(std::move(values));
  Join(threads);
}

TEST_P(ChannelTest, AClosedOneTakesReturnedValues) {
  in_.Close();
  Value value;
  EXPECT_EQ(out_.TryRecv(&value), Outcome::kClosed);
  std::vector<Value> values;
  values.push_back(Value::Int(4));
  out_.Return(std::move(values));
  EXPECT_FALSE(out_.drained());
  EXPECT_EQ(TryRecvInt(out_), 4);
  EXPECT_EQ(out_.TryRecv(&value), Outcome::kClosed);
}

TEST_P(ChannelTest, ReturningAmongReceives) {
  // Receivers that give back every third value once: each value is received for good once.
  constexpr int64_t kCount = 5'000;
  std::vector<std::atomic<int>> kept(kCount);
  std::vector<std::atomic<bool>> returned(kCount);
  std::atomic<int64_t> left{kCount};
  auto receivers = Start(3, [&](int) {
    while (left > 0) {
      const int64_t got = RecvInt(out_, For(absl::Milliseconds(1)));
      if (got < 0) continue;
      if (got % 3 == 0 && !returned[got].exchange(true)) {
        std::vector<Value> values;
        values.push_back(Value::Int(got));
        out_.Return(std::move(values));
      } else {
        ++kept[got];
        --left;
      }
    }
  });
  for (int64_t i = 0; i < kCount; ++i) ASSERT_EQ(SendInt(in_, i), Outcome::kDone);
  Join(receivers);
  for (const auto& times : kept) ASSERT_EQ(times, 1);
  EXPECT_EQ(out_.SizeGuess(), 0);
}

// ---- lives ------------------------------------------------------------------------------------------------------

TEST_P(ChannelTest, EveryValueIsDestroyedOnce) {
  const int64_t before = Shared::live_count();
  {
    Pipe pipe(GetParam());
    auto threads = Start(4, [&](int i) {
      for (int k = 0; k < 500; ++k) {
        Value value = Counted::Make();
        if (i % 2 == 0) {
          if (pipe.in->Send(value, For(absl::Milliseconds(20))) != Outcome::kDone) {
            EXPECT_EQ(value.kind(), Kind::kChannel);
          }
        } else if (pipe.out->Recv(&value, For(absl::Milliseconds(20))) == Outcome::kDone && k % 10 == 0) {
          std::vector<Value> values;
          values.push_back(std::move(value));
          pipe.out->Return(std::move(values));
        }
      }
    });
    Join(threads);
    for (size_t i = 0; i < GetParam().capacity; ++i) {
      Value value = Counted::Make();
      if (pipe.in->TrySend(value) != Outcome::kDone) break;
    }
    pipe.in->Close();
    Value refused = Counted::Make();
    EXPECT_EQ(pipe.in->TrySend(refused), Outcome::kClosed);
  }
  EXPECT_EQ(Shared::live_count(), before);
}

TEST_P(ChannelTest, DiscardDestroysWhatIsThere) {
  const int64_t before = Shared::live_count();
  for (size_t i = 0; i < GetParam().capacity; ++i) {
    Value value = Counted::Make();
    ASSERT_EQ(in_.TrySend(value), Outcome::kDone);
  }
  std::vector<Value> values;
  values.push_back(Counted::Make());
  out_.Return(std::move(values));
  out_.Discard();
  EXPECT_EQ(Shared::live_count(), before);
  EXPECT_TRUE(out_.drained());
}

TEST_P(ChannelTest, AChannelThroughAChannel) {
  std::thread far([&] {
    Value value;
    ASSERT_EQ(out_.Recv(&value, {}), Outcome::kDone);
    Ref<Shared> shared = Ref<Shared>::Borrow(ValueReader(value).Next().shared);
    auto& inner = static_cast<Channel&>(*shared);
    value = Value();
    EXPECT_EQ(SendInt(inner, 42), Outcome::kDone);
  });
  Pipe inner(GetParam());
  Value value = Value::Channel(inner.in);
  ASSERT_EQ(in_.Send(value, {}), Outcome::kDone);
  EXPECT_EQ(RecvInt(*inner.out), 42);
  far.join();
}

TEST_P(BufferedChannelTest, ChannelsInChannelsInChannels) {
  // A chain of many, dropped at one end, needs no stack.
  const int64_t before = Shared::live_count();
  {
    Ref<Channel> last = Channel::Make({.capacity = 1});
    for (int i = 0; i < 50'000; ++i) {
      Ref<Channel> next = Channel::Make({.capacity = 1});
      Value value = Value::Channel(std::move(last));
      ASSERT_EQ(next->TrySend(value), Outcome::kDone);
      last = std::move(next);
    }
  }
  EXPECT_EQ(Shared::live_count(), before);
}

TEST_P(ChannelTest, StatsAddUp) {
  std::thread sender([&] {
    for (int64_t i = 0; i < 10; ++i) ASSERT_EQ(SendInt(in_, i), Outcome::kDone);
  });
  std::vector<Value> values(1);
  for (int i = 0; i < 10; ++i) ASSERT_EQ(out_.Recv(&values[0], {}), Outcome::kDone);
  sender.join();
  out_.Return(std::move(values));
  ChannelStats stats = out_.Stats();
  EXPECT_EQ(stats.sent, 10);
  EXPECT_EQ(stats.received, 10);
  EXPECT_EQ(stats.returned, 1);
  EXPECT_EQ(stats.size, 1);
  EXPECT_EQ(stats.capacity, GetParam().capacity);
  EXPECT_FALSE(stats.closed);
  EXPECT_EQ(RecvInt(out_), 9);
  in_.Close();
  stats = out_.Stats();
  EXPECT_EQ(stats.received, 11);
  EXPECT_EQ(stats.size, 0);
  EXPECT_TRUE(stats.closed);
}

}  // namespace
}  // namespace interpd::channels
