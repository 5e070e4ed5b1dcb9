#include "interp/log_ring.h"

#include <gtest/gtest.h>

namespace interpd::interp {
namespace {

TEST(LogRingTest, ReadsInOrderByStream) {
  LogRing ring(100);
  ring.Append(Stream::kStdout, "one ");
  ring.Append(Stream::kStdout, "two ");
  ring.Append(Stream::kStderr, "three");
  uint64_t cursor = 0;
  LogChunk chunk = ring.Read(&cursor, 3);
  EXPECT_EQ(chunk.data, "one");
  chunk = ring.Read(&cursor, 100);
  EXPECT_EQ(chunk.data, " two ");
  EXPECT_EQ(chunk.stream, Stream::kStdout);
  chunk = ring.Read(&cursor, 100);
  EXPECT_EQ(chunk.data, "three");
  EXPECT_EQ(chunk.stream, Stream::kStderr);
  EXPECT_EQ(ring.Read(&cursor, 100).data, "");
  ring.Append(Stream::kStderr, "!");
  EXPECT_EQ(ring.Read(&cursor, 100).data, "!");
}

TEST(LogRingTest, KeepsTheNewestAndCountsTheRest) {
  LogRing ring(10);
  uint64_t cursor = 0;
  for (int i = 0; i < 100; ++i) ring.Append(Stream::kStdout, "abc");
  LogChunk chunk = ring.Read(&cursor, 100);
  EXPECT_EQ(chunk.dropped_bytes, 290u);
  EXPECT_EQ(chunk.data, "cabcabcabc");
  EXPECT_EQ(cursor, 300u);
}

TEST(LogRingTest, OneWriteOverTheLimit) {
  LogRing ring(4);
  ring.Append(Stream::kStdout, "0123456789");
  uint64_t cursor = 0;
  EXPECT_EQ(ring.Read(&cursor, 100).data, "6789");
}

TEST(LogRingTest, ManyPieces) {
  LogRing ring(1 << 20);
  for (int i = 0; i < 1000; ++i) ring.Append(i % 2 ? Stream::kStdout : Stream::kStderr, std::string(10, 'a' + i % 26));
  uint64_t cursor = 0;
  size_t total = 0;
  for (LogChunk chunk = ring.Read(&cursor, 7); !chunk.data.empty(); chunk = ring.Read(&cursor, 7)) {
    total += chunk.data.size();
  }
  EXPECT_EQ(total, 10000u);
}

}  // namespace
}  // namespace interpd::interp
