#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <memory>
#include <thread>
#include <vector>

#include "channels/channel.h"
#include "channels/event_count.h"
#include "tests/channels/flavours.h"
#include "tests/testing/threads.h"

namespace interpd::channels {
namespace {

class Bell : public Watcher {
 public:
  void Ready() override {
    rung_.fetch_add(1);
    event_.NotifyAll();
  }
  int rung() const { return rung_.load(); }
  void Wait() {
    while (rung_.load() == 0) {
      const uint32_t key = event_.PrepareWait();
      if (rung_.load() != 0) {
        event_.CancelWait(key);
        return;
      }
      event_.Wait(key);
    }
  }

 private:
  std::atomic<int> rung_{0};
  EventCount event_;
};

class WatchTest : public ::testing::TestWithParam<Flavour> {
 protected:
  void Fill() {
    while (TrySendInt(*pipe_.in, 0) == Outcome::kDone) {
    }
  }
  Pipe pipe_{GetParam()};
  std::shared_ptr<Bell> bell_ = std::make_shared<Bell>();
};

INSTANTIATE_TEST_SUITE_P(Flavours, WatchTest, ::testing::ValuesIn(kAllFlavours), ::testing::PrintToStringParamName());

TEST_P(WatchTest, TellsOnceThatAReceiveMaySucceed) {
  const WatchId id = pipe_.out->Watch(Direction::kRecv, bell_);
  EXPECT_TRUE(id);
  EXPECT_EQ(bell_->rung(), 0);
  EXPECT_EQ(TrySendInt(*pipe_.in, 7), Outcome::kDone);  // a rendezvous too: the watch is a receiver that comes
  EXPECT_EQ(bell_->rung(), 1);
  EXPECT_EQ(TryRecvInt(*pipe_.out), 7);
  EXPECT_FALSE(pipe_.out->Unwatch(id));
  EXPECT_EQ(bell_->rung(), 1);
  EXPECT_EQ(bell_.use_count(), 1);
}

TEST_P(WatchTest, TellsAtOnceWhatIsSoAlready) {
  std::thread sender([&] { EXPECT_EQ(SendInt(*pipe_.in, 7), Outcome::kDone); });
  if (GetParam().capacity == 0) {
    testing::WaitUntilAsleep(1);
  } else {
    sender.join();
  }
  EXPECT_FALSE(pipe_.out->Watch(Direction::kRecv, bell_));
  EXPECT_EQ(bell_->rung(), 1);
  EXPECT_EQ(TryRecvInt(*pipe_.out), 7);
  if (GetParam().capacity == 0) sender.join();
}

TEST_P(WatchTest, TellsThatASendMaySucceed) {
  Fill();
  const WatchId id = pipe_.in->Watch(Direction::kSend, bell_);
  EXPECT_TRUE(id);
  EXPECT_EQ(bell_->rung(), 0);
  std::thread receiver([&] { EXPECT_GE(RecvInt(*pipe_.out), 0); });
  bell_->Wait();
  EXPECT_EQ(SendInt(*pipe_.in, 7), Outcome::kDone);
  receiver.join();
  EXPECT_EQ(bell_->rung(), 1);
}

TEST_P(WatchTest, TellsOfTheClose) {
  Fill();
  auto sender = std::make_shared<Bell>();
  Pipe empty(GetParam());
  EXPECT_TRUE(pipe_.in->Watch(Direction::kSend, sender));
  EXPECT_TRUE(empty.out->Watch(Direction::kRecv, bell_));
  pipe_.in->Close();
  empty.in->Close();
  EXPECT_EQ(sender->rung(), 1);
  EXPECT_EQ(bell_->rung(), 1);
  EXPECT_FALSE(pipe_.in->Watch(Direction::kSend, sender));
  EXPECT_FALSE(empty.out->Watch(Direction::kRecv, bell_));
  EXPECT_EQ(sender->rung(), 2);
  EXPECT_EQ(bell_->rung(), 2);
}

TEST_P(WatchTest, AnUnwatchedOneIsNotTold) {
  std::vector<WatchId> ids;
  for (int i = 0; i < 10; ++i) ids.push_back(pipe_.out->Watch(Direction::kRecv, bell_));
  EXPECT_EQ(bell_.use_count(), 11);
  for (const WatchId& id : ids) {
    EXPECT_TRUE(pipe_.out->Unwatch(id));
    EXPECT_FALSE(pipe_.out->Unwatch(id));
  }
  EXPECT_EQ(bell_.use_count(), 1);
  TrySendInt(*pipe_.in, 7);
  EXPECT_EQ(bell_->rung(), 0);
  EXPECT_FALSE(pipe_.out->Unwatch(WatchId()));
}

TEST_P(WatchTest, TellsAllOfOneValue) {
  std::deque<std::shared_ptr<Bell>> bells;
  for (int i = 0; i < 20; ++i) {
    bells.push_back(std::make_shared<Bell>());
    EXPECT_TRUE(pipe_.out->Watch(Direction::kRecv, bells.back()));
  }
  std::thread sender([&] { EXPECT_EQ(SendInt(*pipe_.in, 7), Outcome::kDone); });
  // A rendezvous hands over to one of them; the others are still on the list.
  for (auto& bell : bells) {
    if (GetParam().capacity > 0) bell->Wait();
  }
  sender.join();
  EXPECT_EQ(TryRecvInt(*pipe_.out), 7);
  for (auto& bell : bells) EXPECT_LE(bell->rung(), 1);
}

TEST_P(WatchTest, AWatcherIsDroppedWithItsChannel) {
  {
    Pipe pipe(GetParam());
    EXPECT_TRUE(pipe.out->Watch(Direction::kRecv, bell_));
  }
  EXPECT_EQ(bell_.use_count(), 1);
  // A subscriber's end is closed by the end of the broadcast channel, of which it is told.
  EXPECT_EQ(bell_->rung(), GetParam().kind == Flavour::kBroadcast ? 1 : 0);
}

// Receivers and senders that only watch and try: the whole of asyncio, so to speak.
TEST_P(WatchTest, WatchingIsEnough) {
  constexpr int kThreads = 2;
  constexpr int64_t kEach = 2'000;
  std::vector<std::atomic<int>> seen(kThreads * kEach);
  std::vector<std::thread> senders, receivers;
  for (int t = 0; t < kThreads; ++t) {
    senders.emplace_back([&, t] {
      for (int64_t i = 0; i < kEach;) {
        auto bell = std::make_shared<Bell>();
        if (TrySendInt(*pipe_.in, t * kEach + i) == Outcome::kDone) {
          ++i;
          continue;
        }
        pipe_.in->Watch(Direction::kSend, bell);
        bell->Wait();
      }
    });
    receivers.emplace_back([&] {
      while (true) {
        Value value;
        const Outcome outcome = pipe_.out->TryRecv(&value);
        if (outcome == Outcome::kClosed) return;
        if (outcome == Outcome::kDone) {
          ++seen[IntOf(value)];
          continue;
        }
        auto bell = std::make_shared<Bell>();
        pipe_.out->Watch(Direction::kRecv, bell);
        bell->Wait();
      }
    });
  }
  for (std::thread& thread : senders) thread.join();
  pipe_.in->Close();
  for (std::thread& thread : receivers) thread.join();
  for (const auto& times : seen) ASSERT_EQ(times, 1);
}

// Watches that come and go while values do: each is told once, or taken back, never both.
TEST_P(WatchTest, ToldOrTakenBack) {
  std::atomic<bool> stop{false};
  std::thread traffic([&] {
    while (!stop) {
      SendInt(*pipe_.in, 1, For(absl::Microseconds(50)));
      TryRecvInt(*pipe_.out);
    }
  });
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 2'000; ++i) {
        auto bell = std::make_shared<Bell>();
        const WatchId id = pipe_.out->Watch(Direction::kRecv, bell);
        if (i % 3 == 0) std::this_thread::yield();
        const bool taken_back = pipe_.out->Unwatch(id);
        if (!taken_back) bell->Wait();
        EXPECT_EQ(bell->rung(), taken_back ? 0 : 1);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  stop = true;
  traffic.join();
}

// A receiver was told of a value on a rendezvous and does not come: another gets it.
TEST(RendezvousWatchTest, TheValueOfAnAbsentReceiver) {
  Pipe pipe({Flavour::kRendezvous, 0});
  auto bell = std::make_shared<Bell>();
  EXPECT_TRUE(pipe.out->Watch(Direction::kRecv, bell));
  EXPECT_EQ(TrySendInt(*pipe.in, 7), Outcome::kDone);
  EXPECT_EQ(TrySendInt(*pipe.in, 8), Outcome::kFull);
  EXPECT_EQ(pipe.out->SizeGuess(), 1);
  pipe.in->Close();
  EXPECT_EQ(RecvInt(*pipe.out), 7);
  EXPECT_TRUE(pipe.out->drained());
}

}  // namespace
}  // namespace interpd::channels
