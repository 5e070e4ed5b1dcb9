// The audit log's file: what is in it, renamed, full.
#include "daemon/audit_log.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace interpd::daemon {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class AuditLogTest : public testing::Test {
 protected:
  AuditLogTest() {
    char directory[] = "/tmp/interpd-XXXXXX";
    EXPECT_NE(mkdtemp(directory), nullptr);
    directory_ = directory;
    file_ = directory_ + "/audit";
  }
  ~AuditLogTest() override { std::filesystem::remove_all(directory_); }

  std::unique_ptr<AuditLog> Open() {
    absl::StatusOr<std::unique_ptr<AuditLog>> log = AuditLog::Open(file_);
    EXPECT_TRUE(log.ok()) << log.status();
    return log.ok() ? *std::move(log) : nullptr;
  }
  static std::vector<std::string> Lines(const std::string& file) {
    std::vector<std::string> lines;
    std::ifstream stream(file);
    for (std::string line; std::getline(stream, line);) lines.push_back(line);
    return lines;
  }

  std::string directory_;
  std::string file_;
};

TEST_F(AuditLogTest, AppendsForItsOwnersEyes) {
  Open()->Write("{\"a\":1}");
  {
    std::unique_ptr<AuditLog> log = Open();
    log->Write("{\"b\":2}");
    log->Write("{\"c\":3}");
  }
  EXPECT_THAT(Lines(file_), ElementsAre("{\"a\":1}", "{\"b\":2}", "{\"c\":3}"));
  struct stat there;
  ASSERT_EQ(stat(file_.c_str(), &there), 0);
  EXPECT_EQ(there.st_mode & 0777, 0600u);
  EXPECT_THAT(std::string(AuditLog::Open(directory_).status().message()), HasSubstr("audit.file: cannot open"));
}

TEST_F(AuditLogTest, GoesOnInANewFileOnceTheOldWasRenamed) {
  std::unique_ptr<AuditLog> log = Open();
  log->Write("old");
  while (Lines(file_).empty()) absl::SleepFor(absl::Milliseconds(1));
  std::filesystem::rename(file_, file_ + ".1");
  ASSERT_TRUE(log->Reopen().ok());
  log->Write("new");
  log.reset();
  EXPECT_THAT(Lines(file_ + ".1"), ElementsAre("old"));
  EXPECT_THAT(Lines(file_), ElementsAre("new"));
}

// A file that may not grow stands for a full disk. In a process of its own, whose limit it is.
TEST_F(AuditLogTest, AFullDiskLosesLinesAndNothingElse) {
  pid_t child = fork();
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    std::unique_ptr<AuditLog> log = Open();
    rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    const rlim_t unlimited = limit.rlim_cur;
    limit.rlim_cur = 64;
    setrlimit(RLIMIT_FSIZE, &limit);
    const std::string line(40, 'x');
    log->Write(line);
    while (Lines(file_).empty()) absl::SleepFor(absl::Milliseconds(1));
    log->Write(line);
    while (log->lost_count() == 0) absl::SleepFor(absl::Milliseconds(1));
    limit.rlim_cur = unlimited;
    setrlimit(RLIMIT_FSIZE, &limit);
    log->Write("after");
    log.reset();
    _exit(0);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
  EXPECT_THAT(Lines(file_), ElementsAre(std::string(40, 'x'), HasSubstr("\"lost\":1}"), "after"));
}

TEST_F(AuditLogTest, AfterAFlushAllIsWritten) {
  std::unique_ptr<AuditLog> log = Open();
  for (int i = 0; i < 3; ++i) {
    log->Write(absl::StrCat(i));
    log->Flush(absl::InfiniteDuration());
    EXPECT_EQ(Lines(file_).size(), static_cast<size_t>(i + 1));
  }
  log->Flush(absl::InfiniteDuration());  // nothing waits
  // A pipe that nobody reads: not for ever.
  signal(SIGPIPE, SIG_IGN);
  const std::string pipe = directory_ + "/pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  int reader = open(pipe.c_str(), O_RDONLY | O_NONBLOCK);
  absl::StatusOr<std::unique_ptr<AuditLog>> stuck = AuditLog::Open(pipe);
  ASSERT_TRUE(stuck.ok());
  (*stuck)->Write(std::string(1 << 20, 'x'));
  (*stuck)->Flush(absl::Milliseconds(50));
  close(reader);  // the write fails
}

TEST_F(AuditLogTest, WhatWaitsIsBounded) {
  // A pipe that nobody reads keeps the writer waiting.
  ASSERT_EQ(mkfifo(file_.c_str(), 0600), 0);
  int reader = open(file_.c_str(), O_RDONLY | O_NONBLOCK);
  std::unique_ptr<AuditLog> log = Open();
  const std::string line(1 << 16, 'x');
  for (size_t i = 0; i < 4 * AuditLog::kMaxWaitingBytes / line.size(); ++i) log->Write(line);
  EXPECT_GT(log->lost_count(), 0);
  // Read on, so that it can end.
  std::thread drain([reader] {
    std::vector<char> buffer(1 << 20);
    for (;;) {
      ssize_t count = read(reader, buffer.data(), buffer.size());
      if (count == 0) return;
      if (count < 0) absl::SleepFor(absl::Milliseconds(1));
    }
  });
  log.reset();
  drain.join();
  close(reader);
}

}  // namespace
}  // namespace interpd::daemon
