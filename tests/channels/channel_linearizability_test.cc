// What threads see of a queue can be explained by one order of their calls; and so it is told when it cannot.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <random>
#include <thread>
#include <vector>

#include "channels/adaptive_spin.h"
#include "channels/select.h"
#include "tests/channels/channel_history.h"
#include "tests/channels/flavours.h"

namespace interpd::channels {
namespace {

using Verb = ChannelModel::Verb;

// ---- the checker itself -----------------------------------------------------------------------------------------

TEST(LinearizabilityTest, AcceptsWhatAnOrderExplains) {
  ChannelHistory history(3);
  // Two sends overlap; their values come out in the other order of their begins.
  history.Begin(0, {Verb::kSend, 1});
  history.Begin(1, {Verb::kSend, 2});
  history.End(0, {});
  history.End(1, {});
  history.Begin(0, {Verb::kRecv});
  history.End(0, {Outcome::kDone, 2});
  history.Begin(0, {Verb::kRecv});
  history.End(0, {Outcome::kDone, 1});
  // A receive that overlaps a send may still find nothing.
  history.Begin(0, {Verb::kSend, 3});
  history.Begin(1, {Verb::kRecv});
  history.End(1, {Outcome::kEmpty, 0});
  history.End(0, {});
  history.Begin(2, {Verb::kClose});
  history.End(2, {});
  history.Begin(1, {Verb::kRecv});
  history.End(1, {Outcome::kDone, 3});
  history.Begin(1, {Verb::kRecv});
  history.End(1, {Outcome::kClosed, 0});
  EXPECT_EQ(history.Check(ChannelModel(2)), "");
}

TEST(LinearizabilityTest, RefusesWhatNoneDoes) {
  struct Step {
    ChannelModel::Operation operation;
    ChannelModel::Result result;
  };
  const std::vector<std::vector<Step>> wrong = {
      // Out of order.
      {{{Verb::kSend, 1}, {}}, {{Verb::kSend, 2}, {}}, {{Verb::kRecv}, {Outcome::kDone, 2}}},
      // Lost.
      {{{Verb::kSend, 1}, {}}, {{Verb::kRecv}, {Outcome::kEmpty, 0}}},
      // Twice.
      {{{Verb::kSend, 1}, {}}, {{Verb::kRecv}, {Outcome::kDone, 1}}, {{Verb::kRecv}, {Outcome::kDone, 1}}},
      // Full too early, too late.
      {{{Verb::kSend, 1}, {}}, {{Verb::kSend, 2}, {Outcome::kFull, 0}}},
      {{{Verb::kSend, 1}, {}}, {{Verb::kSend, 2}, {}}, {{Verb::kSend, 3}, {}}},
      // After the close.
      {{{Verb::kClose}, {}}, {{Verb::kSend, 1}, {}}},
      {{{Verb::kSend, 1}, {}}, {{Verb::kClose}, {}}, {{Verb::kRecv}, {Outcome::kClosed, 0}}},
      {{{Verb::kClose}, {}}, {{Verb::kClose}, {}}},
  };
  for (const auto& steps : wrong) {
    ChannelHistory history(1);
    for (const Step& step : steps) {
      history.Begin(0, step.operation);
      history.End(0, step.result);
    }
    EXPECT_NE(history.Check(ChannelModel(2)), "");
  }
}

// ---- queues -------------------------------------------------------------------------------------------------------

class QueueLinearizabilityTest : public ::testing::TestWithParam<int> {};

INSTANTIATE_TEST_SUITE_P(Threads, QueueLinearizabilityTest, ::testing::Values(2, 3, 4));

// Each thread does what its dice say, with pauses by its dice; the threads begin together. The kernel's part in the
// schedule is not repeatable, which the model tests make up for.
TEST_P(QueueLinearizabilityTest, SeededSchedules) {
  const int threads = GetParam();
  constexpr int kCalls = 12;
  for (uint32_t seed = 1; seed <= 4'000; ++seed) {
    const size_t capacity = 1 + seed % 3;
    Pipe pipe({Flavour::kQueue, capacity});
    RecordedChannel channel(*pipe.in, *pipe.out, threads);
    std::atomic<int> ready{0};
    auto play = [&](int thread) {
      std::minstd_rand dice(seed * 17 + static_cast<uint32_t>(thread));
      dice.discard(5);
      ++ready;
      while (ready < threads) std::this_thread::yield();
      for (int i = 0; i < kCalls; ++i) {
        const int64_t number = thread * 100 + i;
        for (uint32_t pause = dice() % 64; pause > 0; --pause) CpuRelax();
        switch (dice() % 16) {
          case 0: channel.Send(thread, number, For(absl::Microseconds(20))); break;
          case 1: channel.Recv(thread, For(absl::Microseconds(20))); break;
          case 2:
            if (i > kCalls / 2) channel.Close(thread);
            break;
          case 3:
            channel.Send(thread, number, [&](Value& value) {
              const SelectCase one = {pipe.in.get(), Direction::kSend, &value};
              size_t chosen;
              const Outcome outcome = Select({&one, 1}, &chosen, {}, WithDefault::kYes);
              return outcome == Outcome::kEmpty ? Outcome::kFull : outcome;
            });
            break;
          case 4:
            channel.Recv(thread, [&](Value* value) {
              const SelectCase one = {pipe.out.get(), Direction::kRecv, value};
              size_t chosen;
              return Select({&one, 1}, &chosen, For(absl::Microseconds(20)));
            });
            break;
          default:
            if (dice() % 2 == 0) {
              channel.TrySend(thread, number);
            } else {
              channel.TryRecv(thread);
            }
        }
      }
    };
    std::vector<std::thread> others;
    for (int t = 1; t < threads; ++t) others.emplace_back(play, t);
    play(0);
    for (std::thread& thread : others) thread.join();
    ASSERT_EQ(channel.Check(capacity), "") << "seed " << seed;
  }
}

// ---- rendezvous -----------------------------------------------------------------------------------------------

// A send and the receive of its value overlap; each value is received once; what was not done was not received.
TEST(RendezvousLinearizabilityTest, SendsAndReceivesOverlap) {
  struct Call {
    bool send;
    int64_t number;
    uint64_t begin, end;
  };
  for (uint32_t seed = 1; seed <= 300; ++seed) {
    Pipe pipe({Flavour::kRendezvous, 0});
    std::atomic<uint64_t> clock{0};
    std::vector<std::vector<Call>> calls(4);
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        std::minstd_rand dice(seed * 17 + static_cast<uint32_t>(t));
        for (int i = 0; i < 30; ++i) {
          Value out = Value::Int(1 + t * 100 + i), in;
          const SelectCase cases[] = {{pipe.in.get(), Direction::kSend, &out}, {pipe.out.get(), Direction::kRecv, &in}};
          const uint32_t which = dice() % 3;
          const SelectCase* first = cases + (which == 1);
          size_t chosen;
          const uint64_t begin = ++clock;
          if (Select({first, which == 2 ? 2u : 1u}, &chosen, For(absl::Microseconds(dice() % 100))) != Outcome::kDone) {
            continue;
          }
          const bool send = first[chosen].direction == Direction::kSend;
          calls[t].push_back({send, send ? 1 + t * 100 + i : IntOf(in), begin, ++clock});
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    std::vector<Call> sends, receives;
    for (const auto& list : calls) {
      for (const Call& call : list) (call.send ? sends : receives).push_back(call);
    }
    ASSERT_EQ(sends.size(), receives.size());
    for (const Call& receive : receives) {
      ASSERT_EQ(std::count_if(sends.begin(), sends.end(),
                              [&](const Call& send) {
                                return send.number == receive.number && send.begin < receive.end &&
                                       receive.begin < send.end;
                              }),
                1)
          << "seed " << seed;
    }
  }
}

}  // namespace
}  // namespace interpd::channels
