// What a log line looks like in each form. That lines get out, from any thread, tests/daemon/log_e2e_test.py sees.
#include "daemon/log_writer.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <thread>

namespace interpd::daemon {
namespace {

LogLine Line() {
  return {.severity = absl::LogSeverity::kWarning,
          .time = absl::FromUnixMicros(1'790'000'000'123'456),
          .message = "one \"two\"\nthree\t\x01",
          .text = "W0921 one \"two\"\nthree\t\x01",
          .source = "file.cc:12",
          .thread = 7,
          .request_id = "r1"};
}

TEST(LogWriterTest, Text) {
  EXPECT_EQ(FormatLogLine(LogFormat::kText, Line()), "W0921 one \"two\"\nthree\t\x01 [request r1]\n");
}

TEST(LogWriterTest, JournalGivesEachLineItsPriority) {
  EXPECT_EQ(FormatLogLine(LogFormat::kJournald, Line()), "<4>one \"two\" [request r1]\n<4>three\t\x01\n");
  EXPECT_EQ(FormatLogLine(LogFormat::kJournald, {.severity = absl::LogSeverity::kInfo, .message = "a\n"}), "<6>a\n");
  EXPECT_EQ(FormatLogLine(LogFormat::kJournald, {.severity = absl::LogSeverity::kError, .message = ""}), "<3>\n");
  EXPECT_EQ(FormatLogLine(LogFormat::kJournald, {.severity = absl::LogSeverity::kFatal, .message = "a"}), "<2>a\n");
}

TEST(LogWriterTest, JsonIsOneLine) {
  EXPECT_EQ(FormatLogLine(LogFormat::kJson, Line()),
            "{\"time\":\"2026-09-21T14:13:20.123456Z\",\"level\":\"warning\",\"message\":\"one "
            "\\\"two\\\"\\nthree\\u0009\\u0001\",\"source\":\"file.cc:12\",\"thread\":7,\"request_id\":\"r1\"}\n");
  EXPECT_EQ(FormatLogLine(LogFormat::kJson, {.time = absl::UnixEpoch(), .message = "a\xff\\"}),
            "{\"time\":\"1970-01-01T00:00:00.000000Z\",\"level\":\"info\",\"message\":\"a\xEF\xBF\xBD\\\\\"}\n");
}

TEST(LogWriterTest, TheFormatIsNamed) {
  EXPECT_EQ(LogFormatOf("json"), LogFormat::kJson);
  EXPECT_EQ(LogFormatOf("journald"), LogFormat::kJournald);
  EXPECT_EQ(LogFormatOf("text"), LogFormat::kText);
  unsetenv("JOURNAL_STREAM");
  EXPECT_EQ(LogFormatOf("auto"), LogFormat::kText);
  setenv("JOURNAL_STREAM", "1:1", 1);  // another stream's
  EXPECT_EQ(LogFormatOf("auto"), LogFormat::kText);
}

// Whoever starts the daemon may share standard error with it, and set it so.
TEST(LogWriterTest, AFullPipeThatDoesNotBlockIsWaitedFor) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  ASSERT_EQ(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
  constexpr int kLines = 5000;  // more than a pipe holds
  std::thread reader([fd = ends[0]] {
    int lines = 0;
    char piece[4096];
    while (lines < kLines) {
      ssize_t count = read(fd, piece, sizeof(piece));
      ASSERT_GT(count, 0);
      lines += static_cast<int>(std::count(piece, piece + count, '\n'));
    }
  });
  auto* log = new LogWriter(LogFormat::kText, absl::LogSeverityAtLeast::kInfo, ends[1]);  // never deleted: see there
  log->StartThread();
  for (int i = 0; i < kLines; ++i) log->Say(absl::LogSeverity::kInfo, std::string(100, 'x'));
  reader.join();
}

}  // namespace
}  // namespace interpd::daemon

// Not the tests' own, which takes the log for itself.
int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
