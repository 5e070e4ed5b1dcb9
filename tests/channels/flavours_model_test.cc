// All interleavings, within bounds, of a few calls on the rendezvous and the broadcast that are shipped.
#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <memory>
#include <vector>

#include "channels/broadcast_channel.h"
#include "channels/rendezvous_channel.h"
#include "tests/channels/model_run.h"
#include "tests/testing/deterministic_schedule.h"

namespace interpd::channels {
namespace {

using testing::Explored;
using testing::ModelCheck;
using testing::RunThreads;

using Rendezvous = RendezvousChannel<testing::DeterministicAtomic>;
using Broadcast = BroadcastChannel<testing::DeterministicAtomic>;

// ---- rendezvous -----------------------------------------------------------------------------------------------

TEST(RendezvousModelTest, SendersMeetReceivers) {
  for (int pairs : {1, 2}) {
    const Explored explored = ExploreRuns(pairs == 1 ? 3 : 1, [&] {
      auto channel = MakeRef<Rendezvous>("");
      int64_t sum = 0;
      std::vector<std::function<void()>> threads;
      for (int i = 0; i < pairs; ++i) {
        threads.emplace_back([&, i] { ModelSend(*channel, 1 + i); });
        threads.emplace_back([&] { sum += ModelRecv(*channel); });
      }
      RunThreads(threads);
      ModelCheck(sum == (pairs == 1 ? 1 : 3), "each was received once");
    });
    EXPECT_EQ(explored.failure, "");
  }
}

// Both select among sending and receiving, each facing the other.
TEST(RendezvousModelTest, SelectsThatFaceEachOther) {
  const Explored explored = ExploreRuns(3, [] {
    auto channel = MakeRef<Rendezvous>("");
    std::array<size_t, 2> chosen;
    std::array<int64_t, 2> got{};
    std::vector<std::function<void()>> threads;
    for (int i = 0; i < 2; ++i) {
      threads.emplace_back([&, i] {
        Value out = Value::Int(1 + i), in;
        ModelCheck(SelectOf({{channel.get(), Direction::kSend, &out}, {channel.get(), Direction::kRecv, &in}},
                            &chosen[i]) == Outcome::kDone,
                   "it was done");
        got[i] = chosen[i] == 1 ? IntOf(in) : 0;
      });
    }
    RunThreads(threads);
    ModelCheck(chosen[0] != chosen[1], "one sent, one received");
    ModelCheck(chosen[0] == 1 ? got[0] == 2 : got[1] == 1, "the other's value");
  });
  EXPECT_EQ(explored.failure, "");
}

// Three threads on two channels: a select may be claimed from both sides, and is taken by one.
TEST(RendezvousModelTest, ASelectIsClaimedOnce) {
  const Explored explored = ExploreRuns(2, [] {
    auto a = MakeRef<Rendezvous>(""), b = MakeRef<Rendezvous>("");
    int64_t sum = 0;
    RunThreads({[&] {
                  Value from_a, from_b;
                  size_t chosen;
                  SelectOf({{a.get(), Direction::kRecv, &from_a}, {b.get(), Direction::kRecv, &from_b}}, &chosen);
                  sum += chosen == 0 ? IntOf(from_a) : IntOf(from_b);
                  // The other sender needs one too.
                  sum += ModelRecv(chosen == 0 ? *b : *a);
                },
                [&] { ModelSend(*a, 1); }, [&] { ModelSend(*b, 10); }});
    ModelCheck(sum == 11, "each was received once");
  });
  EXPECT_EQ(explored.failure, "");
}

TEST(RendezvousModelTest, TimeoutsAndClose) {
  const Explored timeout = ExploreRuns(3, [] {
    auto channel = MakeRef<Rendezvous>("");
    Outcome sent{}, received{};
    Value value = Value::Int(1), got;
    RunThreads({[&] { sent = channel->Send(value, SomeTime()); }, [&] { received = channel->Recv(&got, SomeTime()); }});
    ModelCheck((sent == Outcome::kDone) == (received == Outcome::kDone), "both or none");
    ModelCheck(sent == Outcome::kDone ? IntOf(got) == 1 : IntOf(value) == 1, "the value is with one of them");
  });
  EXPECT_EQ(timeout.failure, "");
  const Explored close = ExploreRuns(2, [] {
    auto channel = MakeRef<Rendezvous>("");
    Outcome sent{}, received{};
    Value value = Value::Int(1), got;
    RunThreads({[&] { sent = channel->Send(value, {}); }, [&] { received = channel->Recv(&got, {}); },
                [&] { channel->Close(); }});
    ModelCheck((sent == Outcome::kDone) == (received == Outcome::kDone), "both or none");
    ModelCheck(channel->drained(), "it is drained");
  });
  EXPECT_EQ(close.failure, "");
}

// A sender that finds a watch hands over; the value is received once, whoever comes for it.
TEST(RendezvousModelTest, WatchersAndSleepers) {
  const Explored explored = ExploreRuns(2, [] {
    auto channel = MakeRef<Rendezvous>("");
    auto bell = std::make_shared<Bell>();
    int64_t sum = 0;
    RunThreads({[&] { channel->Watch(Direction::kRecv, bell); }, [&] { sum += ModelRecv(*channel); },
                [&] { ModelSend(*channel, 7); }});
    ModelCheck(sum == 7, "the sleeper got it, since the watcher did not come");
  });
  EXPECT_EQ(explored.failure, "");
  // What was handed over is not overtaken by what its sender sends next.
  const Explored order = ExploreRuns(2, [] {
    auto channel = MakeRef<Rendezvous>("");
    auto bell = std::make_shared<Bell>();
    RunThreads({[&] { channel->Watch(Direction::kRecv, bell); },
                [&] {
                  ModelCheck(ModelRecv(*channel) == 1, "the first");
                  ModelCheck(ModelRecv(*channel) == 2, "the second");
                },
                [&] {
                  ModelSend(*channel, 1);
                  ModelSend(*channel, 2);
                }});
  });
  EXPECT_EQ(order.failure, "");
  // Both sides only watch.
  const Explored both = ExploreRuns(3, [] {
    auto channel = MakeRef<Rendezvous>("");
    auto sender = std::make_shared<Bell>(), receiver = std::make_shared<Bell>();
    bool sent = false;
    RunThreads({[&] {
                  Value value = Value::Int(7);
                  sent = channel->TrySend(value) == Outcome::kDone;
                  if (!sent) channel->Watch(Direction::kSend, sender);
                },
                [&] { channel->Watch(Direction::kRecv, receiver); }});
    ModelCheck(sent ? receiver->rung == 1 : sender->rung == 1, "one of them is told");
  });
  EXPECT_EQ(both.failure, "");
}

// ---- broadcast ---------------------------------------------------------------------------------------------------

TEST(BroadcastModelTest, ASlowSubscriberBlocksAndIsServed) {
  const Explored explored = ExploreRuns(1, [] {
    auto hub = MakeRef<Broadcast>("");
    Ref<Channel> end = hub->Subscribe({.capacity = 1});
    int64_t sum = 0;
    RunThreads({[&] { ModelSend(*hub, 1); }, [&] { ModelSend(*hub, 10); },
                [&] {
                  sum += ModelRecv(*end);
                  sum += ModelRecv(*end);
                }});
    ModelCheck(sum == 11, "each was received once");
  });
  EXPECT_EQ(explored.failure, "");
}

TEST(BroadcastModelTest, TwoSubscribersOneOfWhichGoes) {
  const Explored explored = ExploreRuns(1, [] {
    auto hub = MakeRef<Broadcast>("");
    Ref<Channel> stays = hub->Subscribe({.capacity = 2}), goes = hub->Subscribe({.capacity = 1});
    int64_t sum = 0;
    RunThreads({[&] {
                  ModelSend(*hub, 1);
                  ModelSend(*hub, 10);
                },
                [&] {
                  sum += ModelRecv(*stays);
                  sum += ModelRecv(*stays);
                },
                [&] { goes->Close(); }});
    ModelCheck(sum == 11, "who stays gets all");
  });
  EXPECT_EQ(explored.failure, "");
}

}  // namespace
}  // namespace interpd::channels
