#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "channels/channel.h"
#include "channels/select.h"
#include "tests/channels/flavours.h"
#include "tests/testing/threads.h"

namespace interpd::channels {
namespace {

class BroadcastTest : public ::testing::Test {
 protected:
  Ref<Channel> hub_ = Channel::Make({.broadcast = true});
};

TEST_F(BroadcastTest, EachSubscriberSeesWhatIsSentFromThenOn) {
  EXPECT_EQ(TrySendInt(*hub_, 0), Outcome::kDone);  // nobody listens
  Ref<Channel> first = hub_->Subscribe({});
  EXPECT_EQ(TrySendInt(*hub_, 1), Outcome::kDone);
  Ref<Channel> second = hub_->Subscribe({});
  EXPECT_EQ(TrySendInt(*hub_, 2), Outcome::kDone);
  EXPECT_EQ(hub_->Stats().subscribers, 2);
  for (int64_t expected : {1, 2, -1}) EXPECT_EQ(TryRecvInt(*first), expected);
  for (int64_t expected : {2, -1}) EXPECT_EQ(TryRecvInt(*second), expected);
  second = nullptr;
  EXPECT_EQ(hub_->Stats().subscribers, 1);
}

TEST_F(BroadcastTest, EndsHaveOneDirection) {
  Ref<Channel> end = hub_->Subscribe({});
  Value value = Value::Int(1);
  EXPECT_EQ(end->TrySend(value), Outcome::kClosed);
  EXPECT_EQ(end->Send(value, {}), Outcome::kClosed);
  EXPECT_EQ(hub_->TryRecv(&value), Outcome::kClosed);
  EXPECT_EQ(hub_->Recv(&value, {}), Outcome::kClosed);
  EXPECT_EQ(value, Value::Int(1));
  EXPECT_FALSE(end->Subscribe({}));
  EXPECT_FALSE(Channel::Make({})->Subscribe({}));
  const SelectCase cases[] = {{end.get(), Direction::kSend, &value}};
  size_t chosen;
  EXPECT_EQ(Select(cases, &chosen, {}), Outcome::kClosed);
}

TEST_F(BroadcastTest, ASlowSubscriberBlocksSendersOfAll) {
  Ref<Channel> slow = hub_->Subscribe({.capacity = 2});
  Ref<Channel> fast = hub_->Subscribe({.capacity = 10});
  EXPECT_EQ(TrySendInt(*hub_, 1), Outcome::kDone);
  EXPECT_EQ(TrySendInt(*hub_, 2), Outcome::kDone);
  EXPECT_EQ(TrySendInt(*hub_, 3), Outcome::kFull);
  EXPECT_EQ(fast->SizeGuess(), 2);  // a send reaches all or none
  std::thread sender([&] { EXPECT_EQ(SendInt(*hub_, 3), Outcome::kDone); });
  testing::WaitUntilAsleep(1);
  EXPECT_EQ(TryRecvInt(*slow), 1);
  sender.join();
  EXPECT_EQ(fast->SizeGuess(), 3);
  // What comes back takes its room again.
  Value value;
  EXPECT_EQ(slow->TryRecv(&value), Outcome::kDone);
  std::vector<Value> back;
  back.push_back(std::move(value));
  slow->Return(std::move(back));
  EXPECT_EQ(TrySendInt(*hub_, 4), Outcome::kFull);
  EXPECT_EQ(TryRecvInt(*slow), 2);
  EXPECT_EQ(TrySendInt(*hub_, 4), Outcome::kDone);
}

TEST_F(BroadcastTest, SendersGoOnWhenTheSlowOneGoes) {
  for (bool drop : {false, true}) {
    Ref<Channel> slow = hub_->Subscribe({.capacity = 1});
    EXPECT_EQ(TrySendInt(*hub_, 1), Outcome::kDone);
    std::thread sender([&] { EXPECT_EQ(SendInt(*hub_, 2), Outcome::kDone); });
    testing::WaitUntilAsleep(1);
    if (drop) {
      slow = nullptr;
    } else {
      slow->Close();
    }
    sender.join();
    if (!drop) {
      EXPECT_EQ(TryRecvInt(*slow), 1);
      EXPECT_TRUE(slow->drained());
    }
  }
}

TEST_F(BroadcastTest, DropOldest) {
  Ref<Channel> end = hub_->Subscribe({.capacity = 3, .slow = SlowSubscriber::kDropOldest});
  for (int64_t i = 0; i < 10; ++i) EXPECT_EQ(TrySendInt(*hub_, i), Outcome::kDone);
  for (int64_t expected : {7, 8, 9, -1}) EXPECT_EQ(TryRecvInt(*end), expected);
  EXPECT_EQ(end->Stats().dropped, 7);
  EXPECT_EQ(end->Stats().received, 3);
  EXPECT_EQ(hub_->Stats().dropped, 7);
}

TEST_F(BroadcastTest, Disconnect) {
  Ref<Channel> end = hub_->Subscribe({.capacity = 3, .slow = SlowSubscriber::kDisconnect});
  Ref<Channel> other = hub_->Subscribe({.capacity = 10});
  for (int64_t i = 0; i < 5; ++i) EXPECT_EQ(TrySendInt(*hub_, i), Outcome::kDone);
  EXPECT_EQ(hub_->Stats().subscribers, 1);
  for (int64_t expected : {0, 1, 2, -1}) EXPECT_EQ(TryRecvInt(*end), expected);
  EXPECT_TRUE(end->drained());
  EXPECT_EQ(other->SizeGuess(), 5);
}

TEST_F(BroadcastTest, CloseReachesSubscribersAfterWhatWasSent) {
  Ref<Channel> end = hub_->Subscribe({});
  EXPECT_EQ(TrySendInt(*hub_, 1), Outcome::kDone);
  hub_->Close();
  EXPECT_EQ(TrySendInt(*hub_, 2), Outcome::kClosed);
  EXPECT_EQ(TryRecvInt(*end), 1);
  Value value;
  EXPECT_EQ(end->Recv(&value, {}), Outcome::kClosed);
  Ref<Channel> late = hub_->Subscribe({});
  EXPECT_EQ(late->Recv(&value, {}), Outcome::kClosed);
}

TEST_F(BroadcastTest, TheEndOfTheHubClosesItsSubscribers) {
  Ref<Channel> end = hub_->Subscribe({});
  EXPECT_EQ(TrySendInt(*hub_, 1), Outcome::kDone);
  std::thread receiver([&] {
    EXPECT_EQ(RecvInt(*end), 1);
    EXPECT_EQ(RecvInt(*end), -1);
  });
  testing::WaitUntilAsleep(1);
  hub_ = nullptr;
  receiver.join();
}

TEST_F(BroadcastTest, EveryValueIsDestroyedOnce) {
  const int64_t before = Shared::live_count();
  {
    Ref<Channel> a = hub_->Subscribe({.capacity = 4, .slow = SlowSubscriber::kDropOldest});
    Ref<Channel> b = hub_->Subscribe({.capacity = 4, .slow = SlowSubscriber::kDisconnect});
    Ref<Channel> c = hub_->Subscribe({.capacity = 100});
    for (int i = 0; i < 20; ++i) {
      Value value = Counted::Make();
      ASSERT_EQ(hub_->TrySend(value), Outcome::kDone);
      ASSERT_EQ(c->TryRecv(&value), Outcome::kDone);
    }
  }
  Value nobody = Counted::Make();
  EXPECT_EQ(hub_->TrySend(nobody), Outcome::kDone);
  EXPECT_EQ(Shared::live_count(), before);
}

// Senders, subscribers that stay, and subscribers that come and go: who stays sees everything, in the order of each
// sender.
TEST_F(BroadcastTest, SubscribersComeAndGo) {
  constexpr int kSenders = 3;
  constexpr int64_t kEach = 3'000;
  std::vector<Ref<Channel>> ends;
  for (int i = 0; i < 2; ++i) ends.push_back(hub_->Subscribe({.capacity = 5}));
  std::atomic<bool> stop{false};
  std::vector<std::thread> senders, receivers;
  for (auto& end : ends) {
    receivers.emplace_back([&] {
      std::vector<int64_t> next(kSenders);
      for (int64_t got; (got = RecvInt(*end)) >= 0;) ASSERT_EQ(got % kEach, next[got / kEach]++);
      for (int64_t count : next) EXPECT_EQ(count, kEach);
    });
  }
  for (SlowSubscriber slow : {SlowSubscriber::kBlock, SlowSubscriber::kDropOldest, SlowSubscriber::kDisconnect}) {
    receivers.emplace_back([&, slow] {
      while (!stop) {
        Ref<Channel> end = hub_->Subscribe({.capacity = 2, .slow = slow});
        std::vector<int64_t> last(kSenders, -1);
        for (int i = 0; i < 50; ++i) {
          const int64_t got = RecvInt(*end, For(absl::Milliseconds(1)));
          if (got < 0) break;
          ASSERT_GT(got % kEach, last[got / kEach]);
          last[got / kEach] = got % kEach;
        }
      }
    });
  }
  for (int s = 0; s < kSenders; ++s) {
    senders.emplace_back([&, s] {
      for (int64_t i = 0; i < kEach; ++i) ASSERT_EQ(SendInt(*hub_, s * kEach + i), Outcome::kDone);
    });
  }
  for (std::thread& thread : senders) thread.join();
  stop = true;
  hub_->Close();
  for (std::thread& thread : receivers) thread.join();
}

}  // namespace
}  // namespace interpd::channels
