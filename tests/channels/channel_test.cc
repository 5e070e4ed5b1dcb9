// What every flavour promises, one list over all of them: one value, capacity, deadlines, closing.
#include "channels/channel.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "channels/select.h"
#include "tests/channels/conformance.h"
#include "tests/channels/flavours.h"
#include "tests/testing/threads.h"

namespace interpd::channels {
namespace {

INSTANTIATE_TEST_SUITE_P(Flavours, ChannelTest, ::testing::ValuesIn(kAllFlavours), ::testing::PrintToStringParamName());
INSTANTIATE_TEST_SUITE_P(Flavours, BufferedChannelTest, ::testing::ValuesIn(kBufferedFlavours),
                         ::testing::PrintToStringParamName());

// ---- one value ------------------------------------------------------------------------------------------------------

TEST_P(ChannelTest, OneValueGoesAcross) {
  std::thread sender([&] { EXPECT_EQ(SendInt(in_, 7), Outcome::kDone); });
  EXPECT_EQ(RecvInt(out_), 7);
  sender.join();
  EXPECT_EQ(TryRecvInt(out_), -1);
}

TEST_P(ChannelTest, ASentValueIsMovedFrom) {
  Value value = Value::Str("a text in a block of memory of its own");
  std::thread receiver([&] {
    Value got;
    EXPECT_EQ(out_.Recv(&got, {}), Outcome::kDone);
    EXPECT_EQ(got, Value::Str("a text in a block of memory of its own"));
  });
  EXPECT_EQ(in_.Send(value, {}), Outcome::kDone);
  EXPECT_EQ(value.kind(), Kind::kNone);
  receiver.join();
}

TEST_P(ChannelTest, TryRecvSaysWhy) {
  Value value;
  EXPECT_EQ(out_.TryRecv(&value), Outcome::kEmpty);
  std::thread sender([&] { EXPECT_EQ(SendInt(in_, 7), Outcome::kDone); });
  while (out_.TryRecv(&value) == Outcome::kEmpty) std::this_thread::yield();
  EXPECT_EQ(IntOf(value), 7);
  sender.join();
  EXPECT_EQ(out_.TryRecv(&value), Outcome::kEmpty);
  in_.Close();
  EXPECT_EQ(out_.TryRecv(&value), Outcome::kClosed);
}

// As TryRecv, also after it has learned that a moment is enough.
TEST_P(ChannelTest, PollRecvSaysWhy) {
  Value value;
  EXPECT_EQ(out_.PollRecv(&value), Outcome::kEmpty);
  constexpr int kCount = 1000;
  std::thread sender([&] {
    for (int i = 0; i < kCount; ++i) EXPECT_EQ(SendInt(in_, i), Outcome::kDone);
  });
  for (int i = 0; i < kCount; ++i) {
    if (out_.PollRecv(&value) == Outcome::kEmpty) {
      EXPECT_EQ(out_.Recv(&value, {}), Outcome::kDone);
    }
    EXPECT_EQ(IntOf(value), i);
  }
  sender.join();
  EXPECT_EQ(out_.PollRecv(&value), Outcome::kEmpty);
  in_.Close();
  EXPECT_EQ(out_.PollRecv(&value), Outcome::kClosed);
}

TEST_P(ChannelTest, TrySendMeetsAWaitingReceiver) {
  std::thread receiver([&] { EXPECT_EQ(RecvInt(out_), 7); });
  testing::WaitUntilAsleep(1);
  EXPECT_EQ(TrySendInt(in_, 7), Outcome::kDone);
  receiver.join();
}

TEST_P(ChannelTest, TryRecvMeetsAWaitingSender) {
  for (size_t i = 0; i < GetParam().capacity; ++i) ASSERT_EQ(TrySendInt(in_, 0), Outcome::kDone);
  std::thread sender([&] { EXPECT_EQ(SendInt(in_, 7), Outcome::kDone); });
  testing::WaitUntilAsleep(1);
  for (size_t i = 0; i < GetParam().capacity; ++i) ASSERT_EQ(RecvInt(out_), 0);
  EXPECT_EQ(RecvInt(out_, For(absl::Seconds(30))), 7);
  sender.join();
}

// ---- capacity -------------------------------------------------------------------------------------------------------

TEST_P(ChannelTest, HoldsAsMuchAsItSays) {
  const size_t capacity = GetParam().capacity;
  EXPECT_EQ(out_.capacity(), capacity);
  for (int round = 0; round < 3; ++round) {
    for (size_t i = 0; i < capacity; ++i) ASSERT_EQ(TrySendInt(in_, static_cast<int64_t>(i)), Outcome::kDone);
    EXPECT_EQ(out_.SizeGuess(), capacity);
    Value value = Value::Str("what does not fit stays with its sender");
    EXPECT_EQ(in_.TrySend(value), Outcome::kFull);
    EXPECT_EQ(value, Value::Str("what does not fit stays with its sender"));
    for (size_t i = 0; i < capacity; ++i) ASSERT_EQ(TryRecvInt(out_), static_cast<int64_t>(i));
    EXPECT_EQ(out_.SizeGuess(), 0);
  }
}

TEST_P(BufferedChannelTest, AFullOneBlocksSendersUntilThereIsRoom) {
  const int64_t capacity = static_cast<int64_t>(GetParam().capacity);
  for (int64_t i = 0; i < capacity; ++i) ASSERT_EQ(TrySendInt(in_, i), Outcome::kDone);
  std::atomic<bool> sent{false};
  std::thread sender([&] {
    EXPECT_EQ(SendInt(in_, capacity), Outcome::kDone);
    sent = true;
  });
  testing::WaitUntilAsleep(1);
  EXPECT_FALSE(sent);
  for (int64_t i = 0; i <= capacity; ++i) EXPECT_EQ(RecvInt(out_), i);
  sender.join();
}

// ---- deadlines and interrupts -----------------------------------------------------------------------------------

TEST_P(ChannelTest, RecvTimesOut) {
  const absl::Time start = absl::Now();
  Value value = Value::Int(1);
  EXPECT_EQ(out_.Recv(&value, For(absl::Milliseconds(15))), Outcome::kTimeout);
  EXPECT_GE(absl::Now() - start, absl::Milliseconds(14));
  EXPECT_EQ(value, Value::Int(1));
  std::vector<Value> values;
  EXPECT_EQ(out_.RecvMany(5, &values, For(absl::Milliseconds(1))), Outcome::kTimeout);
  EXPECT_TRUE(values.empty());
  EXPECT_EQ(out_.Recv(&value, For(absl::ZeroDuration())), Outcome::kTimeout);
  EXPECT_EQ(out_.Recv(&value, For(absl::Seconds(-1))), Outcome::kTimeout);
}

TEST_P(ChannelTest, SendTimesOutAndGivesTheValueBack) {
  for (size_t i = 0; i < GetParam().capacity; ++i) ASSERT_EQ(TrySendInt(in_, 0), Outcome::kDone);
  const absl::Time start = absl::Now();
  Value value = Value::Str("comes back");
  EXPECT_EQ(in_.Send(value, For(absl::Milliseconds(15))), Outcome::kTimeout);
  EXPECT_GE(absl::Now() - start, absl::Milliseconds(14));
  EXPECT_EQ(value, Value::Str("comes back"));
  EXPECT_EQ(in_.Send(value, For(absl::ZeroDuration())), Outcome::kTimeout);
  EXPECT_EQ(value, Value::Str("comes back"));
}

TEST_P(ChannelTest, ATimeoutLeavesNothingBehind) {
  Value value;
  for (int i = 0; i < 20; ++i) EXPECT_EQ(out_.Recv(&value, For(absl::Microseconds(200))), Outcome::kTimeout);
  std::thread sender([&] { EXPECT_EQ(SendInt(in_, 7), Outcome::kDone); });
  EXPECT_EQ(RecvInt(out_), 7);
  sender.join();
}

TEST_P(ChannelTest, TimeReallyPassesOnBothSides) {
  // Many timeouts race with what they wait for: each value arrives once, or its sender keeps it.
  constexpr int kCount = 300;
  int64_t sum = 0;
  std::thread sender([&] {
    for (int64_t i = 1; i <= kCount; ++i) {
      while (SendInt(in_, i, For(absl::Microseconds(i % 50))) != Outcome::kDone) {
      }
    }
  });
  for (int i = 0; i < kCount;) {
    const int64_t got = RecvInt(out_, For(absl::Microseconds(i % 70)));
    if (got < 0) continue;
    EXPECT_EQ(got, ++i);
    sum += got;
  }
  sender.join();
  EXPECT_EQ(sum, kCount * (kCount + 1) / 2);
}

TEST_P(ChannelTest, AnInterruptEndsWaits) {
  for (size_t i = 0; i < GetParam().capacity; ++i) ASSERT_EQ(TrySendInt(in_, 0), Outcome::kDone);
  Interrupt interrupt;
  const Wait wait = {.interrupt = &interrupt, .ticket = interrupt.ticket()};
  std::thread sender([&] {
    Value value = Value::Int(1);
    EXPECT_EQ(in_.Send(value, wait), Outcome::kInterrupted);
    EXPECT_EQ(value, Value::Int(1));
  });
  testing::WaitUntilAsleep(1);
  interrupt.Raise();
  sender.join();
  for (size_t i = 0; i < GetParam().capacity; ++i) ASSERT_EQ(TryRecvInt(out_), 0);
  // Raised before the wait: it ends at once, as the ticket is older.
  Value value;
  EXPECT_EQ(out_.Recv(&value, wait), Outcome::kInterrupted);
  const Wait later = {.interrupt = &interrupt, .ticket = interrupt.ticket()};
  std::thread receiver([&] {
    Value got;
    EXPECT_EQ(out_.Recv(&got, later), Outcome::kInterrupted);
  });
  testing::WaitUntilAsleep(1);
  interrupt.Raise();
  receiver.join();
}

// ---- closing -----------------------------------------------------------------------------------------------------

TEST_P(ChannelTest, CloseTellsWhoDidIt) {
  EXPECT_FALSE(in_.closed());
  std::atomic<int> closers{0};
  auto threads = Start(4, [&](int) { closers += in_.Close(); });
  Join(threads);
  EXPECT_EQ(closers, 1);
  EXPECT_TRUE(in_.closed());
  EXPECT_TRUE(out_.closed());
  EXPECT_TRUE(out_.drained());
}

TEST_P(ChannelTest, SendAfterCloseGivesTheValueBack) {
  in_.Close();
  Value value = Value::Str("comes back");
  EXPECT_EQ(in_.TrySend(value), Outcome::kClosed);
  EXPECT_EQ(in_.Send(value, {}), Outcome::kClosed);
  EXPECT_EQ(value, Value::Str("comes back"));
  size_t sent = 7;
  EXPECT_EQ(in_.SendMany({&value, 1}, &sent, {}), Outcome::kClosed);
  EXPECT_EQ(sent, 0);
}

TEST_P(BufferedChannelTest, AClosedOneIsDrained) {
  const int64_t capacity = static_cast<int64_t>(GetParam().capacity);
  for (int64_t i = 0; i < capacity; ++i) ASSERT_EQ(TrySendInt(in_, i), Outcome::kDone);
  in_.Close();
  EXPECT_EQ(TrySendInt(in_, 9), Outcome::kClosed);
  for (int64_t i = 0; i < capacity; ++i) {
    EXPECT_FALSE(out_.drained());
    EXPECT_EQ(RecvInt(out_), i);
  }
  Value value;
  EXPECT_EQ(out_.Recv(&value, {}), Outcome::kClosed);
  EXPECT_EQ(out_.TryRecv(&value), Outcome::kClosed);
  EXPECT_TRUE(out_.drained());
}

TEST_P(ChannelTest, CloseWakesReceivers) {
  auto threads = Start(5, [&](int) {
    Value value;
    EXPECT_EQ(out_.Recv(&value, {}), Outcome::kClosed);
  });
  testing::WaitUntilAsleep(5);
  in_.Close();
  Join(threads);
}

TEST_P(ChannelTest, CloseWakesSenders) {
  for (size_t i = 0; i < GetParam().capacity; ++i) ASSERT_EQ(TrySendInt(in_, 0), Outcome::kDone);
  auto threads = Start(5, [&](int) {
    Value value = Value::Str("comes back");
    EXPECT_EQ(in_.Send(value, {}), Outcome::kClosed);
    EXPECT_EQ(value, Value::Str("comes back"));
  });
  testing::WaitUntilAsleep(5);
  in_.Close();
  Join(threads);
}

TEST_P(ChannelTest, ClosedUnderAHundredWaiters) {
  auto threads = Start(100, [&](int i) {
    Value value;
    if (i % 2 == 0) {
      EXPECT_EQ(out_.Recv(&value, {}), Outcome::kClosed);
    } else {
      const SelectCase one = {pipe_.out.get(), Direction::kRecv, &value};
      size_t chosen;
      EXPECT_EQ(Select({&one, 1}, &chosen, {}), Outcome::kClosed);
    }
  });
  testing::WaitUntilAsleep(100);
  in_.Close();
  Join(threads);
}

// A send that was done is received, and nothing comes after "closed and drained".
TEST_P(ChannelTest, CloseAmongSendsAndReceives) {
  for (int round = 0; round < 50; ++round) {
    Pipe pipe(GetParam());
    std::atomic<int> sent{0}, received{0};
    auto threads = Start(4, [&](int i) {
      if (i % 2 == 0) {
        while (SendInt(*pipe.in, 1) == Outcome::kDone) ++sent;
      } else {
        while (RecvInt(*pipe.out) == 1) ++received;
        EXPECT_TRUE(pipe.out->drained());
      }
    });
    while (received < 10) std::this_thread::yield();
    EXPECT_TRUE(pipe.in->Close());
    Join(threads);
    ASSERT_EQ(sent, received);
  }
}

}  // namespace
}  // namespace interpd::channels
