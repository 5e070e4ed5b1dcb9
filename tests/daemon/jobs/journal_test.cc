#include "daemon/jobs/journal.h"

#include <gtest/gtest.h>
#include <sys/mount.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "absl/strings/match.h"
#include "daemon/jobs/journal_file.h"
#include "daemon/jobs/journal_reader.h"

namespace interpd::daemon {
namespace {

class JournalTest : public ::testing::Test {
 protected:
  JournalTest() {
    char directory[] = "/tmp/interpd-journal-XXXXXX";
    EXPECT_NE(mkdtemp(directory), nullptr);
    directory_ = directory;
  }
  ~JournalTest() override { std::filesystem::remove_all(directory_); }

  std::unique_ptr<Journal> Open() {
    absl::StatusOr<std::unique_ptr<Database>> database = OpenJournal(directory_);
    EXPECT_TRUE(database.ok()) << database.status();
    return database.ok() ? std::make_unique<Journal>(*std::move(database)) : nullptr;
  }

  static JobRecord NewRecord(const std::string& name) {
    JobRecord record;
    record.name = name;
    record.uid = "uid-" + name;
    record.create_time = absl::FromUnixSeconds(1000);
    record.task_count = 3;
    record.spec.set_display_name("a job");
    return record;
  }

  std::string directory_;
};

TEST_F(JournalTest, KeepsWhatWasCommittedAndNothingElse) {
  int64_t id;
  {
    std::unique_ptr<Journal> journal = Open();
    JobRecord record = NewRecord("kept");
    ASSERT_TRUE(journal->Begin(Journal::Sync::kYes).ok());
    ASSERT_TRUE(journal->InsertJob(&record, "print(1)").ok());
    ASSERT_TRUE(journal->SaveTask({.job = record.id, .index = 1, .state = v1::Task::PENDING, .attempt = 2}).ok());
    ASSERT_TRUE(journal->Commit().ok());
    id = record.id;
    JobRecord dropped = NewRecord("dropped");
    ASSERT_TRUE(journal->Begin(Journal::Sync::kYes).ok());
    ASSERT_TRUE(journal->InsertJob(&dropped, "print(2)").ok());
    journal->Rollback();
  }
  std::unique_ptr<Journal> journal = Open();
  absl::StatusOr<std::optional<JobRecord>> kept = journal->FindJob("kept");
  ASSERT_TRUE(kept.ok() && kept->has_value());
  EXPECT_EQ((*kept)->id, id);
  EXPECT_EQ((*kept)->input_of, id);
  EXPECT_EQ((*kept)->spec.display_name(), "a job");
  EXPECT_EQ((*kept)->create_time, absl::FromUnixSeconds(1000));
  EXPECT_EQ(*journal->Script(id), "print(1)");
  EXPECT_FALSE((*journal->FindJob("dropped")).has_value());
  absl::StatusOr<std::vector<TaskRecord>> tasks = journal->UnfinishedTasks(id, -1, 3, 10);
  ASSERT_TRUE(tasks.ok());
  ASSERT_EQ(tasks->size(), 1u);
  EXPECT_EQ(tasks->front().index, 1);
  EXPECT_EQ(tasks->front().attempt, 2);
  EXPECT_EQ(*journal->TasksWithoutRow(id, 3), (std::vector<int64_t>{0, 2}));
}

TEST_F(JournalTest, IsMigratedFromEveryVersion) {
  for (int version = 1; version <= kJournalVersion; ++version) {
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directory(directory_);
    {
      absl::StatusOr<std::unique_ptr<Database>> old =
          Database::Open(JournalPath(directory_), Database::Access::kReadWrite);
      ASSERT_TRUE(old.ok()) << old.status();
      ASSERT_TRUE(MigrateJournal(**old, version).ok());
      // Scripts were in the table of jobs before version 3.
      const char* insert =
          version < 3
              ? "INSERT INTO job(name, uid, owner, spec, script, input_of, state, task_count, next_index, succeeded, "
                "failed, retried, create_time, start_time, end_time, due_time, error) "
                "VALUES('old', 'u', '', x'', 'pass', 1, 5, 1, 1, 1, 0, 0, 5, 6, 7, 0, x'')"
              : "INSERT INTO job(name, uid, owner, spec, input_of, state, task_count, next_index, succeeded, failed, "
                "retried, create_time, start_time, end_time, due_time, error) "
                "VALUES('old', 'u', '', x'', 0, 5, 1, 1, 1, 0, 0, 5, 6, 7, 0, x'');"
                "INSERT INTO script(job, source) VALUES(1, 'pass')";
      ASSERT_TRUE((*old)->Script(insert).ok());
      const char* insert_rows =
          "INSERT INTO input VALUES(1 << 32, zeroblob(20)), (2 << 32, zeroblob(1000));"
          "INSERT INTO task VALUES((1 << 32) + 7, 3, 1, 0, 0, 0, 0, 0, zeroblob(300));"
          "INSERT INTO log(key, attempt, stream, dropped, data) VALUES((1 << 32) + 7, 1, 1, 0, zeroblob(4000))";
      ASSERT_TRUE((*old)->Script(insert_rows).ok());
    }
    std::unique_ptr<Journal> journal = Open();
    ASSERT_NE(journal, nullptr);
    absl::StatusOr<std::optional<JobRecord>> found = journal->FindJob("old");
    ASSERT_TRUE(found.ok() && found->has_value()) << version;
    EXPECT_EQ((*found)->state, v1::Job::SUCCEEDED);
    EXPECT_EQ((*found)->run_count, 0);
    EXPECT_EQ((*found)->input_of, (*found)->id);
    EXPECT_EQ(*journal->Script((*found)->id), "pass");
    // Counted by the engine from version 4 on: rows that are put in from outside are not.
    EXPECT_EQ((*found)->bytes, version < 4 ? 4 * kRowBytes + 4 + 20 + 300 + 4000 : 0) << version;
  }
}

TEST_F(JournalTest, OfANewerVersionIsLeftAlone) {
  Open();
  {
    absl::StatusOr<std::unique_ptr<Database>> database =
        Database::Open(JournalPath(directory_), Database::Access::kReadWrite);
    ASSERT_TRUE((*database)->Script("PRAGMA user_version = 999").ok());
  }
  absl::StatusOr<std::unique_ptr<Database>> refused = OpenJournal(directory_);
  ASSERT_FALSE(refused.ok());
  EXPECT_TRUE(absl::StrContains(refused.status().message(), "version 999")) << refused.status();
  EXPECT_TRUE(absl::StrContains(refused.status().message(), JournalPath(directory_))) << refused.status();
}

TEST_F(JournalTest, OfAnotherProgramOrDamagedIsLeftAlone) {
  {
    absl::StatusOr<std::unique_ptr<Database>> other =
        Database::Open(JournalPath(directory_), Database::Access::kReadWrite);
    ASSERT_TRUE((*other)->Script("CREATE TABLE t(a)").ok());
  }
  absl::StatusOr<std::unique_ptr<Database>> refused = OpenJournal(directory_);
  EXPECT_TRUE(absl::StrContains(refused.status().message(), "another program")) << refused.status();

  std::ofstream(JournalPath(directory_), std::ios::trunc) << std::string(8192, 'x');
  refused = OpenJournal(directory_);
  EXPECT_TRUE(absl::StrContains(refused.status().message(), "cannot be opened")) << refused.status();
}

TEST_F(JournalTest, IsOneProcessesAtATime) {
  absl::StatusOr<JournalLock> lock = JournalLock::Acquire(directory_);
  ASSERT_TRUE(lock.ok()) << lock.status();
  absl::StatusOr<JournalLock> second = JournalLock::Acquire(directory_);
  EXPECT_TRUE(absl::IsAlreadyExists(second.status())) << second.status();
  EXPECT_TRUE(absl::StrContains(second.status().message(), "--state-dir"));
}

TEST_F(JournalTest, IsForItsOwnerAlone) {
  std::unique_ptr<Journal> journal = Open();
  const auto mode = std::filesystem::status(JournalPath(directory_)).permissions();
  EXPECT_EQ(mode & (std::filesystem::perms::group_all | std::filesystem::perms::others_all),
            std::filesystem::perms::none);
}

TEST_F(JournalTest, GivesDeletedRoomBack) {
  std::unique_ptr<Journal> journal = Open();
  JobRecord record = NewRecord("big");
  ASSERT_TRUE(journal->Begin(Journal::Sync::kNo).ok());
  ASSERT_TRUE(journal->InsertJob(&record, "pass").ok());
  const std::string data(100'000, 'x');
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(journal->InsertLog({.job = record.id, .index = i, .data = data}).ok());
  }
  ASSERT_TRUE(journal->Commit().ok());
  const int64_t full = *journal->UsedBytes();
  EXPECT_GT(full, 10'000'000);
  bool gone = false;
  int rounds = 0;
  while (!gone) {
    ASSERT_TRUE(journal->Begin(Journal::Sync::kNo).ok());
    absl::StatusOr<bool> some = journal->DeleteSome(record.id, 30);
    ASSERT_TRUE(some.ok()) << some.status();
    gone = *some;
    ASSERT_TRUE(journal->Commit().ok());
    ++rounds;
  }
  EXPECT_GT(rounds, 3);  // in steps
  EXPECT_LT(*journal->UsedBytes(), full / 10);
  ASSERT_TRUE(journal->Shrink(100'000).ok());
  ASSERT_TRUE(journal->Begin(Journal::Sync::kYes).ok());
  ASSERT_TRUE(journal->Commit().ok());
  journal.reset();  // the last connection moves everything into the file
  EXPECT_LT(std::filesystem::file_size(JournalPath(directory_)), static_cast<uintmax_t>(full) / 10);
}

// A disk of one megabyte, which it takes root to make.
class FullDiskTest : public JournalTest {
 protected:
  FullDiskTest() { mounted_ = mount("interpd-test", directory_.c_str(), "tmpfs", 0, "size=1m") == 0; }
  ~FullDiskTest() override {
    if (mounted_) umount2(directory_.c_str(), MNT_DETACH);
  }
  bool mounted_ = false;
};

TEST_F(FullDiskTest, RefusesAndRecovers) {
  if (!mounted_) GTEST_SKIP() << "only root can mount a small disk";
  std::unique_ptr<Journal> journal = Open();
  ASSERT_NE(journal, nullptr);
  std::vector<std::string> accepted;
  absl::Status status;
  const std::string script(20'000, '#');
  for (int i = 0; i < 1000 && status.ok(); ++i) {
    JobRecord record = NewRecord("job" + std::to_string(i));
    status = journal->Begin(Journal::Sync::kYes);
    if (status.ok()) status = journal->InsertJob(&record, script);
    if (status.ok()) status = journal->Commit();
    if (status.ok()) {
      accepted.push_back(record.name);
    } else {
      journal->Rollback();
    }
  }
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "make room")) << status;
  ASSERT_GT(accepted.size(), 3u);
  for (const std::string& name : accepted) EXPECT_TRUE((*journal->FindJob(name)).has_value()) << name;

  ASSERT_EQ(mount("interpd-test", directory_.c_str(), "tmpfs", MS_REMOUNT, "size=8m"), 0);
  JobRecord record = NewRecord("afterwards");
  ASSERT_TRUE(journal->Begin(Journal::Sync::kYes).ok());
  ASSERT_TRUE(journal->InsertJob(&record, script).ok());
  ASSERT_TRUE(journal->Commit().ok());
  for (const std::string& name : accepted) EXPECT_TRUE((*journal->FindJob(name)).has_value()) << name;
}

}  // namespace
}  // namespace interpd::daemon
