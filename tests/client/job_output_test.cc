// What people and scripts read about jobs: progress, logs of several tasks, results.
#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <string_view>

#include "absl/strings/str_split.h"
#include "client/cli/interrupts.h"
#include "client/cli/job_log.h"
#include "client/cli/job_print.h"
#include "client/cli/job_progress.h"

namespace interpd::client {
namespace {

TEST(TaskCountsTest, RateAndTimeLeftAreThoseOfTheLastSeconds) {
  TaskCounts counts;
  absl::Time now = absl::UnixEpoch();
  counts.Update(0, 0, 0, now);
  EXPECT_EQ(counts.Text(), "0 tasks");
  counts.Update(0, 0, 1000, now += absl::Seconds(1));
  EXPECT_EQ(counts.Text(), "0 of 1000 tasks");
  EXPECT_EQ(counts.part(), 0);
  counts.Update(200, 2, 1000, now += absl::Seconds(1));
  EXPECT_EQ(counts.Text(), "200 of 1000 tasks, 2 failed, 100/s, 8.0s left");
  EXPECT_DOUBLE_EQ(counts.part(), 0.2);
  // What was long ago does not count any more.
  for (int i = 0; i < 30; ++i) counts.Update(200 + i, 2, 1000, now += absl::Seconds(1));
  EXPECT_EQ(counts.Text(), "229 of 1000 tasks, 2 failed, 1.0/s, 13m left");
}

TEST(JobsTest, TheExitCodeIsThatOfTheWorstJob) {
  std::map<std::string, v1::Job> jobs;
  jobs["jobs/a"].set_state(v1::Job::SUCCEEDED);
  EXPECT_EQ(ExitCodeOf(jobs), kOk);
  jobs["jobs/b"].set_state(v1::Job::CANCELLED);
  EXPECT_EQ(ExitCodeOf(jobs), kJobCancelled);
  jobs["jobs/c"].set_state(v1::Job::FAILED);
  EXPECT_EQ(ExitCodeOf(jobs), kPythonRaised);
}

TEST(LinePrefixerTest, ShowsWholeLines) {
  LinePrefixer lines;
  EXPECT_EQ(lines.Take("> ", "a\nb"), "> a\n");
  EXPECT_EQ(lines.Take("> ", "c"), "");
  EXPECT_EQ(lines.Take("> ", "d\n\ne"), "> bcd\n> \n");
  EXPECT_EQ(lines.Rest("> "), "> e\n");
  EXPECT_EQ(lines.Rest("> "), "");
}

TEST(LinePrefixerTest, ALineWithoutEndTakesBoundedMemory) {
  LinePrefixer lines;
  size_t shown = 0;
  for (int i = 0; i < 100; ++i) shown += lines.Take("> ", std::string(4096, 'x')).size();
  EXPECT_GT(shown, 300 * 1024);
}

class JobLogTest : public testing::Test {
 protected:
  static v1::JobLogsResponse Entry(int64_t task, const std::string& text, int64_t dropped = 0) {
    v1::JobLogsResponse entry;
    entry.set_task_index(task);
    entry.set_attempt(1);
    entry.mutable_output()->set_stream(v1::Output::STDOUT);
    entry.mutable_output()->set_data(text);
    entry.set_dropped_bytes(dropped);
    return entry;
  }

  // What is printed of a log that begins twice anew, in the middle of pieces and cut into others.
  static std::string Printed(JobLog& log) {
    testing::internal::CaptureStdout();
    log.Show(Entry(0, "first\n"));
    log.Show(Entry(1, "other\n"));
    log.Show(Entry(0, "second\n"));
    log.BeginAgain();
    log.Show(Entry(0, "fir"));
    log.BeginAgain();
    log.Show(Entry(0, "first\nsec"));
    log.Show(Entry(1, "other\n"));
    log.Show(Entry(0, "ond\nthird\n"));
    log.BeginAgain();
    log.BeginAgain();
    log.Show(Entry(0, "first\nsecond\nthird\nfourth\n"));
    return testing::internal::GetCapturedStdout();
  }

  Interrupts interrupts_;
  Session session_{interrupts_};
};

TEST_F(JobLogTest, WhatWasShownIsNotShownAgainHoweverOftenTheConnectionBreaks) {
  JobLog log(session_, LogForm::kPlain);
  EXPECT_EQ(Printed(log), "first\nother\nsecond\nthird\nfourth\n");
}

TEST_F(JobLogTest, DocumentsAreNotShownAgainEither) {
  session_.options.format = "json";
  JobLog log(session_, LogForm::kJson);
  std::string data;
  for (std::string_view line : absl::StrSplit(Printed(log), '\n', absl::SkipEmpty())) {
    v1::JobLogsResponse entry;
    ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(std::string(line), &entry).ok()) << line;
    data += entry.output().data();
  }
  EXPECT_EQ(data, "first\nother\nsecond\nthird\nfourth\n");
}

TEST_F(JobLogTest, WhatIsNotKeptIsSaidOnce) {
  JobLog log(session_, LogForm::kPlain);
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  for (int i = 0; i < 3; ++i) {
    log.Show(Entry(0, "a\n"));
    log.Show(Entry(0, "", 7));
    log.BeginAgain();
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "interpctl: task 0 wrote 7 bytes more than are kept\n");
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "a\n");
}

v1::Task Succeeded() {
  v1::Task task;
  task.set_index(3);
  task.set_state(v1::Task::SUCCEEDED);
  task.set_attempt(2);
  task.mutable_result()->set_str("é\"");
  task.mutable_start_time()->set_seconds(5);
  task.mutable_end_time()->set_seconds(6);
  task.mutable_end_time()->set_nanos(250'000'000);
  task.set_key("k");
  return task;
}

TEST(TaskTest, AResultIsOneLineOfJson) {
  EXPECT_EQ(TaskToJson(Succeeded()),
            R"({"index": 3, "state": "SUCCEEDED", "attempt": 2, "seconds": 1.250000, "key": "k", "result": "é\""})");
}

TEST(TaskTest, AFailureSaysWhy) {
  v1::Task task = Succeeded();
  task.set_state(v1::Task::FAILED);
  task.set_exit_code(1);
  task.mutable_exception()->set_type("ValueError");
  task.mutable_exception()->set_message("bad\nand more");
  task.mutable_exception()->set_formatted("Traceback...\n");
  EXPECT_EQ(TaskToJson(task),
            R"({"index": 3, "state": "FAILED", "attempt": 2, "seconds": 1.250000, "key": "k", "exit_code": 1, )"
            R"("error": "ValueError: bad...", "traceback": "Traceback...\n"})");
  task.set_error("it took too long");
  EXPECT_EQ(TaskError(task), "it took too long");
  task.clear_error();
  EXPECT_EQ(TaskError(task), "exit code 1");
}

TEST(TaskTest, TheTableCutsLongResultsBetweenCharacters) {
  v1::Task task = Succeeded();
  std::string text;
  for (int i = 0; i < 100; ++i) text += "é";
  task.mutable_result()->set_str(text);
  const std::string line = TaskLine(task);
  EXPECT_THAT(line, testing::StartsWith("3         succeeded  2        1.2s    \"éé"));
  EXPECT_THAT(line, testing::EndsWith("éé...\n"));
}

}  // namespace
}  // namespace interpd::client
