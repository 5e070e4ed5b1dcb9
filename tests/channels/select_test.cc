#include "channels/select.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <deque>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "tests/channels/flavours.h"
#include "tests/testing/threads.h"

namespace interpd::channels {
namespace {

class SelectTest : public ::testing::TestWithParam<Flavour> {};

INSTANTIATE_TEST_SUITE_P(Flavours, SelectTest, ::testing::ValuesIn(kAllFlavours), ::testing::PrintToStringParamName());

SelectCase RecvFrom(const Pipe& pipe, Value* value) { return {pipe.out.get(), Direction::kRecv, value}; }
SelectCase SendTo(const Pipe& pipe, Value* value) { return {pipe.in.get(), Direction::kSend, value}; }

void Fill(const Pipe& pipe) {
  while (TrySendInt(*pipe.in, 0) == Outcome::kDone) {
  }
}

TEST_P(SelectTest, TakesTheCaseThatIsReady) {
  std::array<Pipe, 3> pipes{Pipe(GetParam()), Pipe(GetParam()), Pipe(GetParam())};
  for (size_t ready = 0; ready < 3; ++ready) {
    std::thread sender([&] { EXPECT_EQ(SendInt(*pipes[ready].in, 7), Outcome::kDone); });
    std::array<Value, 3> values;
    const SelectCase cases[] = {RecvFrom(pipes[0], &values[0]), RecvFrom(pipes[1], &values[1]),
                                RecvFrom(pipes[2], &values[2])};
    size_t chosen = 9;
    EXPECT_EQ(Select(cases, &chosen, {}), Outcome::kDone);
    EXPECT_EQ(chosen, ready);
    EXPECT_EQ(values[ready], Value::Int(7));
    sender.join();
  }
}

TEST_P(SelectTest, SleepsUntilACaseIsReady) {
  Pipe a(GetParam()), b(GetParam());
  std::thread selecting([&] {
    Value value;
    const SelectCase cases[] = {RecvFrom(a, &value), RecvFrom(b, &value)};
    for (size_t expected : {1, 0, 1}) {
      size_t chosen;
      EXPECT_EQ(Select(cases, &chosen, {}), Outcome::kDone);
      EXPECT_EQ(chosen, expected);
    }
  });
  for (Pipe* pipe : {&b, &a, &b}) {
    testing::WaitUntilAsleep(1);
    EXPECT_EQ(SendInt(*pipe->in, 7), Outcome::kDone);
  }
  selecting.join();
}

TEST_P(SelectTest, SendsWhenThereIsRoom) {
  Pipe a(GetParam()), b(GetParam());
  Fill(a);
  Fill(b);
  std::thread selecting([&] {
    Value to_a = Value::Str("for a"), to_b = Value::Str("for b");
    const SelectCase cases[] = {SendTo(a, &to_a), SendTo(b, &to_b)};
    size_t chosen;
    EXPECT_EQ(Select(cases, &chosen, {}), Outcome::kDone);
    EXPECT_EQ(chosen, 1);
    EXPECT_EQ(to_a, Value::Str("for a"));  // stays with its sender
    EXPECT_EQ(to_b.kind(), Kind::kNone);
  });
  testing::WaitUntilAsleep(1);
  Value value;
  do {
    ASSERT_EQ(b.out->Recv(&value, {}), Outcome::kDone);
  } while (!(value == Value::Str("for b")));
  selecting.join();
}

TEST_P(SelectTest, DefaultTimeoutInterrupt) {
  Pipe a(GetParam()), b(GetParam());
  Fill(b);
  Value got, given = Value::Int(5);
  const SelectCase cases[] = {RecvFrom(a, &got), SendTo(b, &given)};
  size_t chosen;
  EXPECT_EQ(Select(cases, &chosen, {}, WithDefault::kYes), Outcome::kEmpty);
  const absl::Time start = absl::Now();
  EXPECT_EQ(Select(cases, &chosen, For(absl::Milliseconds(15))), Outcome::kTimeout);
  EXPECT_GE(absl::Now() - start, absl::Milliseconds(14));
  EXPECT_EQ(Select(cases, &chosen, For(absl::ZeroDuration())), Outcome::kTimeout);
  EXPECT_EQ(Select({}, &chosen, For(absl::Milliseconds(1))), Outcome::kTimeout);
  EXPECT_EQ(Select({}, &chosen, {}, WithDefault::kYes), Outcome::kEmpty);
  Interrupt interrupt;
  const Wait wait = {.interrupt = &interrupt, .ticket = interrupt.ticket()};
  std::thread raising([&] {
    testing::WaitUntilAsleep(1);
    interrupt.Raise();
  });
  EXPECT_EQ(Select(cases, &chosen, wait), Outcome::kInterrupted);
  raising.join();
  EXPECT_EQ(Select(cases, &chosen, wait), Outcome::kInterrupted);
  EXPECT_EQ(given, Value::Int(5));
}

TEST_P(SelectTest, AClosedChannelIsAReadyCase) {
  Pipe a(GetParam()), b(GetParam());
  Fill(b);
  std::thread selecting([&] {
    Value got, given = Value::Int(5);
    const SelectCase cases[] = {RecvFrom(a, &got), SendTo(b, &given)};
    size_t chosen;
    EXPECT_EQ(Select(cases, &chosen, {}), Outcome::kClosed);
    EXPECT_EQ(chosen, 1);
    EXPECT_EQ(given, Value::Int(5));
    EXPECT_EQ(Select(cases, &chosen, {}, WithDefault::kYes), Outcome::kClosed);
  });
  testing::WaitUntilAsleep(1);
  b.in->Close();
  selecting.join();
}

TEST_P(SelectTest, EachReadyCaseHasItsTurn) {
  if (GetParam().capacity == 0) GTEST_SKIP() << "nothing is ready for long";
  std::deque<Pipe> pipes;
  for (int i = 0; i < 5; ++i) pipes.emplace_back(GetParam());
  std::vector<Value> values(5);
  std::vector<SelectCase> cases;
  for (int i = 0; i < 5; ++i) cases.push_back(RecvFrom(pipes[i], &values[i]));
  std::vector<int> times(5);
  constexpr int kRounds = 2'000;
  for (int round = 0; round < kRounds; ++round) {
    for (Pipe& pipe : pipes) TrySendInt(*pipe.in, 1);
    size_t chosen;
    ASSERT_EQ(Select(cases, &chosen, {}), Outcome::kDone);
    ++times[chosen];
  }
  // 400 each, give or take 18; ten of those off is no accident.
  for (int count : times) EXPECT_NEAR(count, kRounds / 5, 180);
}

// Threads that each select among sending here and receiving there: nothing is lost, whoever meets whom.
TEST_P(SelectTest, SendAndReceiveCasesAmongManyThreads) {
  Pipe a(GetParam()), b(GetParam());
  constexpr int kEach = 2'000;
  std::atomic<int64_t> given{0}, got{0}, given_count{0}, got_count{0};
  std::atomic<int> sending{3};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach;) {
        Value out_a = Value::Int(1 + t * kEach + i), out_b = Value::Int(1 + t * kEach + i), in_a, in_b;
        const SelectCase cases[] = {SendTo(a, &out_a), SendTo(b, &out_b), RecvFrom(a, &in_a), RecvFrom(b, &in_b)};
        size_t chosen;
        ASSERT_EQ(Select(cases, &chosen, {}), Outcome::kDone);
        if (chosen < 2) {
          given += 1 + t * kEach + i;
          ++given_count;
          ++i;
        } else {
          got += IntOf(chosen == 2 ? in_a : in_b);
          ++got_count;
        }
      }
      --sending;
    });
  }
  // Whoever is left alone on a rendezvous needs a partner.
  threads.emplace_back([&] {
    while (sending > 0 || a.out->SizeGuess() + b.out->SizeGuess() > 0) {
      Value in_a, in_b;
      const SelectCase cases[] = {RecvFrom(a, &in_a), RecvFrom(b, &in_b)};
      size_t chosen;
      if (Select(cases, &chosen, For(absl::Milliseconds(1))) != Outcome::kDone) continue;
      got += IntOf(chosen == 0 ? in_a : in_b);
      ++got_count;
    }
  });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(given_count, 3 * kEach);
  EXPECT_EQ(got_count, given_count);
  EXPECT_EQ(got, given);
}

// Two selects that face each other and begin at once.
TEST_P(SelectTest, TwoThatMirrorEachOther) {
  Pipe there(GetParam()), back(GetParam());
  constexpr int kRounds = 3'000;
  auto play = [](const Pipe& to, const Pipe& from) {
    int sent = 0, received = 0;
    while (sent < kRounds || received < kRounds) {
      Value out = Value::Int(sent), in;
      const SelectCase both[] = {SendTo(to, &out), RecvFrom(from, &in)};
      const SelectCase* first = sent < kRounds ? both : both + 1;
      const size_t count = (sent < kRounds) + (received < kRounds);
      size_t chosen;
      ASSERT_EQ(Select({first, count}, &chosen, {}), Outcome::kDone);
      if (first[chosen].direction == Direction::kSend) {
        ++sent;
      } else {
        ASSERT_EQ(IntOf(in), received++);
      }
    }
  };
  std::thread other([&] { play(back, there); });
  play(there, back);
  other.join();
}

TEST_P(SelectTest, MoreCasesThanTheKernelWaitsFor) {
  constexpr size_t kCases = 300;
  std::deque<Pipe> pipes;
  for (size_t i = 0; i < kCases; ++i) pipes.emplace_back(GetParam());
  std::thread selecting([&] {
    std::vector<Value> values(kCases);
    std::vector<SelectCase> cases;
    for (size_t i = 0; i < kCases; ++i) cases.push_back(RecvFrom(pipes[i], &values[i]));
    for (size_t expected : {299, 0, 150}) {
      size_t chosen;
      EXPECT_EQ(Select(cases, &chosen, {}), Outcome::kDone);
      EXPECT_EQ(chosen, expected);
    }
  });
  for (size_t ready : {299, 0, 150}) {
    testing::WaitUntilAsleep(1);
    EXPECT_EQ(SendInt(*pipes[ready].in, 1), Outcome::kDone);
  }
  selecting.join();
}

// One value for many selects wakes about one of them, and none of the values stays beside a sleeper.
TEST_P(SelectTest, AMessageWakesOneSelect) {
  Pipe a(GetParam()), b(GetParam());
  constexpr int kSelects = 50;
  std::vector<std::thread> threads;
  for (int i = 0; i < kSelects; ++i) {
    threads.emplace_back([&] {
      Value in_a, in_b;
      const SelectCase cases[] = {RecvFrom(a, &in_a), RecvFrom(b, &in_b)};
      size_t chosen;
      EXPECT_EQ(Select(cases, &chosen, {}), Outcome::kDone);
    });
  }
  testing::WaitUntilAsleep(kSelects);
  const int64_t before = testing::SleepsSoFar();
  for (int i = 0; i < 10; ++i) {
    ASSERT_EQ(SendInt(i % 2 == 0 ? *a.in : *b.in, i), Outcome::kDone);
    testing::WaitUntilAsleep(kSelects - 1 - i);
  }
  EXPECT_LT(testing::SleepsSoFar() - before, 50);
  std::thread other([&] {
    for (int i = 0; i < kSelects / 2 - 5; ++i) ASSERT_EQ(SendInt(*a.in, 1), Outcome::kDone);
  });
  for (int i = 0; i < kSelects / 2 - 5; ++i) ASSERT_EQ(SendInt(*b.in, 1), Outcome::kDone);
  other.join();
  for (std::thread& thread : threads) thread.join();
}

TEST(RendezvousSelectTest, MakesNoRendezvousWithItself) {
  Pipe pipe({Flavour::kRendezvous, 0});
  Value out = Value::Int(1), in;
  const SelectCase cases[] = {SendTo(pipe, &out), RecvFrom(pipe, &in)};
  size_t chosen;
  EXPECT_EQ(Select(cases, &chosen, For(absl::Milliseconds(5))), Outcome::kTimeout);
  // Two such threads do meet.
  std::thread other([&] {
    Value other_out = Value::Int(2), other_in;
    const SelectCase same[] = {SendTo(pipe, &other_out), RecvFrom(pipe, &other_in)};
    size_t other_chosen;
    EXPECT_EQ(Select(same, &other_chosen, {}), Outcome::kDone);
    EXPECT_TRUE(other_chosen == 0 || other_in == Value::Int(1));
  });
  EXPECT_EQ(Select(cases, &chosen, {}), Outcome::kDone);
  EXPECT_TRUE(chosen == 0 || in == Value::Int(2));
  other.join();
}

// Who waits longest on a rendezvous is met first.
TEST(RendezvousSelectTest, InTheOrderOfArrival) {
  Pipe pipe({Flavour::kRendezvous, 0});
  std::vector<std::thread> senders;
  for (int i = 0; i < 10; ++i) {
    senders.emplace_back([&, i] { EXPECT_EQ(SendInt(*pipe.in, i), Outcome::kDone); });
    testing::WaitUntilAsleep(i + 1);
  }
  for (int i = 0; i < 10; ++i) EXPECT_EQ(RecvInt(*pipe.out), i);
  for (std::thread& sender : senders) sender.join();
}

}  // namespace
}  // namespace interpd::channels
