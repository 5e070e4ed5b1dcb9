// What an interpreter's objects take, as info() tells it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <string>

#include "tests/testing/host.h"

namespace interpd {
namespace {

using ::testing::AllOf;
using ::testing::Ge;
using ::testing::Le;
using testing::TestInterpreter;

constexpr int64_t kMiB = 1 << 20;

// By how much what `source` leaves behind makes the interpreter larger.
int64_t Growth(TestInterpreter& interpreter, std::string source) {
  const int64_t before = interpreter->info().memory_bytes;
  testing::ExecOutcome outcome = interpreter.Exec(std::move(source));
  EXPECT_TRUE(outcome.status.ok()) << outcome.status;
  EXPECT_EQ(outcome.err, "");
  return interpreter->info().memory_bytes - before;
}

TEST(MemoryAccountTest, LargeBlocksComeAndGo) {
  TestInterpreter one, other;
  EXPECT_THAT(one->info().memory_bytes, AllOf(Ge(kMiB), Le(20 * kMiB)));
  const int64_t others = other->info().memory_bytes;
  EXPECT_THAT(Growth(one, "x = bytearray(64 << 20)"), AllOf(Ge(64 * kMiB), Le(66 * kMiB)));
  EXPECT_THAT(Growth(one, "x.extend(bytes(32 << 20))"), Ge(32 * kMiB));
  EXPECT_THAT(Growth(one, "del x"), Le(-96 * kMiB));
  EXPECT_EQ(other->info().memory_bytes, others);
}

TEST(MemoryAccountTest, SmallObjectsComeAndGo) {
  TestInterpreter one;
  // 32 bytes each, and 8 in the list.
  EXPECT_THAT(Growth(one, "x = [float(i) + 0.5 for i in range(1_000_000)]"), AllOf(Ge(24 * kMiB), Le(64 * kMiB)));
  EXPECT_THAT(Growth(one, "del x"), Le(-24 * kMiB));
}

TEST(MemoryAccountTest, ThreadsOfHostedCodeCount) {
  TestInterpreter one;
  EXPECT_THAT(Growth(one, R"(
import threading
kept = []
thread = threading.Thread(target=lambda: kept.append(bytearray(32 << 20)))
thread.start()
thread.join()
)"),
              Ge(32 * kMiB));
}

// Texts that pass through channels are made by one interpreter and freed by the other.
TEST(MemoryAccountTest, ValuesThatCrossLeaveNothingBehind) {
  constexpr char kOpen[] = R"(
import interpd
channel = interpd.channel("memory-account-test", capacity=64)
)";
  constexpr char kSend[] = "for i in range(2000): channel.send([str(i) * 100, bytes(100_000)])";
  constexpr char kReceive[] = "for i in range(2000): channel.recv()";
  TestInterpreter sender, receiver;
  Growth(sender, kOpen);
  Growth(receiver, kOpen);
  auto pass = [&] {
    auto work = sender.Start(kSend);
    testing::ExecOutcome received = receiver.Exec(kReceive);
    EXPECT_TRUE(received.status.ok()) << received.status;
    EXPECT_TRUE(work->result().ok()) << work->result().status();
  };
  pass();  // what is made once
  const int64_t sender_before = sender->info().memory_bytes, receiver_before = receiver->info().memory_bytes;
  pass();
  pass();
  // 400 MB have gone through.
  EXPECT_LE(std::abs(sender->info().memory_bytes - sender_before), 2 * kMiB);
  EXPECT_LE(std::abs(receiver->info().memory_bytes - receiver_before), 2 * kMiB);
}

TEST(MemoryAccountTest, AnInterpreterThatHasEndedHasNone) {
  TestInterpreter one;
  Growth(one, "x = bytearray(16 << 20)");
  one.Close();
  EXPECT_EQ(one->info().memory_bytes, 0);
  // One that gets its account begins anew.
  TestInterpreter next;
  EXPECT_LE(next->info().memory_bytes, 15 * kMiB);
}

}  // namespace
}  // namespace interpd
