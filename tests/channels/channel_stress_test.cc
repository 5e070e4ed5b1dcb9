// Very many values through one channel: nothing lost, doubled, or out of order.
//
//   bazel test //tests/channels:channel_stress_test                              # as many as fit 20 s in all
//   bazel run -c opt //tests/channels:channel_stress_test -- --messages=100000000   # so many for each scenario
#include <gtest/gtest.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "channels/select.h"
#include "tests/channels/flavours.h"

namespace interpd::channels {
namespace {

// 0: until the time is up.
int64_t messages_wanted = 0;
constexpr absl::Duration kTime = absl::Seconds(4);

class ChannelStressTest : public ::testing::Test {
 protected:
  static constexpr int kProducers = 4;
  static constexpr int kConsumers = 4;

  // What a consumer has seen of one producer.
  struct Seen {
    int64_t count = 0;
    int64_t sum = 0;
    int64_t last = -1;
  };

  // Sends in ascending order by send(channel, first, count) -> how many went; receives by recv(channel, sink).
  template <typename SendSome, typename RecvSome>
  static void Run(const char* name, size_t capacity, SendSome send_some, RecvSome recv_some) {
    Ref<Channel> channel = Channel::Make({.capacity = capacity});
    const absl::Time start = absl::Now();
    const int64_t each = messages_wanted > 0 ? messages_wanted / kProducers : INT64_MAX;
    std::atomic<bool> stop{false};
    std::vector<int64_t> sent(kProducers);
    std::vector<std::vector<Seen>> seen(kConsumers, std::vector<Seen>(kProducers));
    std::vector<std::thread> producers, consumers;
    for (int p = 0; p < kProducers; ++p) {
      producers.emplace_back([&, p] {
        int64_t next = 0;
        // relaxed: when it is seen does not matter.
        while (next < each && !stop.load(std::memory_order_relaxed)) next += send_some(*channel, p, next, each);
        sent[p] = next;
      });
    }
    for (int c = 0; c < kConsumers; ++c) {
      consumers.emplace_back([&, c] {
        auto sink = [&](const Value& value) {
          const int64_t got = IntOf(value);
          Seen& of = seen[c][got & 3];
          if (got >> 2 <= of.last) {
            ADD_FAILURE() << name << ": " << (got >> 2) << " of producer " << (got & 3) << " after " << of.last;
            std::abort();
          }
          of.last = got >> 2;
          of.sum += of.last;
          ++of.count;
        };
        while (recv_some(*channel, sink) == Outcome::kDone) {
        }
      });
    }
    if (messages_wanted == 0) {
      absl::SleepFor(kTime);
      stop = true;
    }
    for (std::thread& thread : producers) thread.join();
    channel->Close();
    for (std::thread& thread : consumers) thread.join();
    int64_t total = 0;
    for (int p = 0; p < kProducers; ++p) {
      Seen all;
      for (const auto& of : seen) {
        all.count += of[p].count;
        all.sum += of[p].sum;
      }
      // In order, so each at most once a consumer; as many as were sent, and the same sum: each once.
      EXPECT_EQ(all.count, sent[p]);
      EXPECT_EQ(all.sum, sent[p] * (sent[p] - 1) / 2);
      total += all.count;
    }
    EXPECT_TRUE(channel->drained());
    EXPECT_EQ(channel->Stats().sent, total);
    EXPECT_EQ(channel->Stats().received, total);
    const double seconds = absl::ToDoubleSeconds(absl::Now() - start);
    std::printf("%s: %lld values, %d to %d threads, %.1f s, %.0f ns each\n", name, static_cast<long long>(total),
                kProducers, kConsumers, seconds, seconds / static_cast<double>(total) * 1e9);
    std::fflush(stdout);
  }

  static int64_t SendOne(Channel& channel, int producer, int64_t next, int64_t) {
    EXPECT_EQ(SendInt(channel, (next << 2) | producer), Outcome::kDone);
    return 1;
  }
  template <typename Sink>
  static Outcome RecvOne(Channel& channel, Sink& sink) {
    Value value;
    const Outcome outcome = channel.Recv(&value, {});
    if (outcome == Outcome::kDone) sink(value);
    return outcome;
  }
};

TEST_F(ChannelStressTest, OneByOne) {
  Run("one by one", 1024, SendOne, [](Channel& channel, auto& sink) { return RecvOne(channel, sink); });
}

// Everybody sleeps and wakes all the time.
TEST_F(ChannelStressTest, OneByOneThroughANarrowChannel) {
  const int64_t wanted = messages_wanted;
  messages_wanted /= 10;
  Run("narrow (capacity 3)", 3, SendOne, [](Channel& channel, auto& sink) { return RecvOne(channel, sink); });
  messages_wanted = wanted;
}

TEST_F(ChannelStressTest, InBatches) {
  Run(
      "batches of 64", 1024,
      [](Channel& channel, int producer, int64_t next, int64_t each) {
        std::vector<Value> values;
        for (int64_t i = 0; i < 64 && next + i < each; ++i) values.push_back(Value::Int(((next + i) << 2) | producer));
        size_t sent;
        EXPECT_EQ(channel.SendMany(absl::MakeSpan(values), &sent, {}), Outcome::kDone);
        return static_cast<int64_t>(sent);
      },
      [](Channel& channel, auto& sink) {
        std::vector<Value> values;
        const Outcome outcome = channel.RecvMany(64, &values, {});
        for (const Value& value : values) sink(value);
        return outcome;
      });
}

// Every way to wait at once: sleep, select, deadline.
TEST_F(ChannelStressTest, AllWaysToWait) {
  const int64_t wanted = messages_wanted;
  messages_wanted /= 10;
  Run(
      "all ways to wait", 7,
      [](Channel& channel, int producer, int64_t next, int64_t) -> int64_t {
        Value value = Value::Int((next << 2) | producer);
        const SelectCase one = {&channel, Direction::kSend, &value};
        size_t chosen;
        const Wait wait = next % 3 == 0 ? For(absl::Microseconds(30)) : Wait();
        return producer % 2 == 0 ? Select({&one, 1}, &chosen, wait) == Outcome::kDone
                                 : channel.Send(value, wait) == Outcome::kDone;
      },
      [](Channel& channel, auto& sink) {
        thread_local int turn = 0;
        Value value;
        const SelectCase one = {&channel, Direction::kRecv, &value};
        size_t chosen;
        const Outcome outcome = ++turn % 2 == 0 ? Select({&one, 1}, &chosen, For(absl::Microseconds(50)))
                                                : channel.Recv(&value, For(absl::Microseconds(50)));
        if (outcome == Outcome::kDone) sink(value);
        return outcome == Outcome::kTimeout ? Outcome::kDone : outcome;
      });
  messages_wanted = wanted;
}

}  // namespace
}  // namespace interpd::channels

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  for (int i = 1; i < argc; ++i) {
    constexpr char kFlag[] = "--messages=";
    if (std::strncmp(argv[i], kFlag, sizeof(kFlag) - 1) == 0) {
      interpd::channels::messages_wanted = std::atoll(argv[i] + sizeof(kFlag) - 1);
    }
  }
  return RUN_ALL_TESTS();
}
