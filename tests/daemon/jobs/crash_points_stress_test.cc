// A process that dies at the N-th write of its journal, for every N, whole or torn: what it has accepted is done in the
// end, once, by a process that goes on.
//
// This program is both: with arguments it is the process that runs jobs, without it starts and judges those.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <set>
#include <sstream>

#include "absl/log/globals.h"
#include "absl/log/initialize.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"
#include "channels/channel_registry.h"
#include "daemon/jobs/job_engine.h"
#include "daemon/jobs/job_proto.h"
#include "daemon/jobs/journal_reader.h"
#include "interp/interpreter_registry.h"
#include "tests/daemon/jobs/dying_files.h"

extern char** environ;

namespace interpd::daemon {
namespace {

constexpr int kTasks = 4;

// ---- the process that runs jobs -------------------------------------------------------------------------------------

// Each run of a task leaves a line "KEY VALUE" in a file when it is done; the file is written whole, or not.
v1::JobSpec Mapped(const std::string& directory) {
  v1::JobSpec spec;
  spec.set_display_name("mapped");
  spec.set_script(
      absl::StrCat("import interpd, os\n"
                   "fd = os.open('",
                   directory,
                   "/runs', os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)\n"
                   "def task(item):\n"
                   "    if item == 1 and interpd.task.attempt == 1: raise ValueError('the first attempt')\n"
                   "    print('running', item)\n"
                   "    os.write(fd, f'{interpd.task.key} {item}\\n'.encode())\n"
                   "    return item * 10\n"));
  for (int i = 0; i < kTasks; ++i) spec.mutable_values()->add_runs()->mutable_ints()->add_items(i);
  spec.set_retries(3);
  spec.mutable_backoff()->set_nanos(1000);
  return spec;
}

v1::JobSpec Summed() {
  v1::JobSpec spec;
  spec.set_script("import interpd; interpd.task.result = sum(interpd.task.after['mapped'])");
  spec.add_after_submitted(0);
  return spec;
}

// Submits two jobs under one request id (so that one that was accepted already is found), prints "accepted NAME NAME",
// and "done" when they have ended. With `at`, dies at that write.
int RunJobs(const std::string& directory, int64_t at, Death death) {
  absl::SetMinLogLevel(absl::LogSeverityAtLeast::kError);
  alarm(60);  // one that does not end has failed
  DieAtWrite(at, death);
  channels::ChannelRegistry channels;
  ChannelNames names(channels, "");
  absl::StatusOr<std::unique_ptr<JobEngine>> engine = JobEngine::Open({.directory = directory, .parallel = 2});
  if (!engine.ok()) return std::cerr << engine.status() << std::endl, 3;
  interp::HostConfig host;
  host.channels = &channels;
  absl::StatusOr<std::unique_ptr<interp::InterpreterRegistry>> registry = interp::InterpreterRegistry::Start(host);
  if (!registry.ok()) return std::cerr << registry.status() << std::endl, 3;
  absl::Status started =
      (*engine)->Start(**registry, [&names](const std::string&) -> ChannelNames& { return names; }, [] {});
  if (!started.ok()) return std::cerr << started << std::endl, 3;

  std::vector<NewJob> jobs;
  for (v1::JobSpec& spec : std::vector<v1::JobSpec>{Mapped(directory), Summed()}) {
    absl::StatusOr<NewJob> job = DecodeJob(std::move(spec), jobs.size(), {}, names);
    if (!job.ok()) return std::cerr << job.status() << std::endl, 3;
    jobs.push_back(*std::move(job));
  }
  std::vector<JobRecord> records;
  absl::Notification submitted;
  (*engine)->Submit("", "the same each time", std::move(jobs), true,
                    [&](absl::StatusOr<std::vector<JobRecord>> answer) {
                      if (answer.ok()) records = *std::move(answer);
                      submitted.Notify();
                    });
  submitted.WaitForNotification();
  if (records.size() != 2) return 4;
  // In one piece: the end may come at any moment.
  std::cout << absl::StrCat("accepted ", records[0].name, " ", records[1].name, "\n") << std::flush;

  absl::StatusOr<std::unique_ptr<JournalReader>> reader = JournalReader::Open(directory);
  if (!reader.ok()) return 5;
  for (const JobRecord& record : records) {
    absl::Mutex mutex;
    bool changed = true;
    const int64_t watch = (*engine)->watches().Watch(record.id, [&] {
      absl::MutexLock lock(mutex);
      changed = true;
    });
    for (;;) {
      {
        absl::MutexLock lock(mutex);
        mutex.Await(absl::Condition(&changed));
        changed = false;
      }
      absl::StatusOr<JobRecord> now = (*reader)->FindJob("", record.name);
      if (!now.ok()) return std::cerr << now.status() << std::endl, 6;
      if (now->has_ended()) break;
    }
    (*engine)->watches().Stop(watch);
  }
  reader->reset();
  (*engine)->Stop();
  registry->reset();
  std::cout << "done " << WriteCount() << std::endl;
  return 0;
}

// ---- the judge ------------------------------------------------------------------------------------------------------

struct Outcome {
  int status = 0;  // of waitpid
  std::vector<std::string> accepted;
  int64_t writes = 0;  // 0: it has not come to its end
  std::string output;
};

Outcome RunProcess(const std::string& directory, int64_t at, Death death) {
  int pipe_fds[2];
  EXPECT_EQ(pipe(pipe_fds), 0);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, pipe_fds[1], 1);
  posix_spawn_file_actions_addclose(&actions, pipe_fds[0]);
  const std::string number = absl::StrCat(at), mode = death == Death::kTornWrite ? "torn" : "whole";
  const char* argv[] = {"crash_points", directory.c_str(), number.c_str(), mode.c_str(), nullptr};
  pid_t pid = 0;
  EXPECT_EQ(posix_spawn(&pid, "/proc/self/exe", &actions, nullptr, const_cast<char**>(argv), environ), 0);
  posix_spawn_file_actions_destroy(&actions);
  close(pipe_fds[1]);
  Outcome outcome;
  char buffer[4096];
  for (ssize_t n; (n = read(pipe_fds[0], buffer, sizeof(buffer))) > 0;) outcome.output.append(buffer, n);
  close(pipe_fds[0]);
  EXPECT_EQ(waitpid(pid, &outcome.status, 0), pid);
  for (std::string_view line : absl::StrSplit(outcome.output, '\n')) {
    std::vector<std::string> words = absl::StrSplit(line, ' ');
    if (words[0] == "accepted" && words.size() == 3) outcome.accepted.assign(words.begin() + 1, words.end());
    if (words[0] == "done") {
      EXPECT_TRUE(absl::SimpleAtoi(words[1], &outcome.writes));
    }
  }
  return outcome;
}

void Judge(const std::string& directory, const Outcome& first, const Outcome& second) {
  ASSERT_TRUE(WIFEXITED(second.status) && WEXITSTATUS(second.status) == 0) << second.status << " " << second.output;
  if (!first.accepted.empty()) {
    EXPECT_EQ(first.accepted, second.accepted);
  }
  absl::StatusOr<std::unique_ptr<Database>> database = OpenJournal(directory);
  ASSERT_TRUE(database.ok()) << database.status();
  Rows check = (*database)->Query("PRAGMA integrity_check");
  ASSERT_TRUE(check.Next());
  EXPECT_EQ(check.Bytes(0), "ok");

  absl::StatusOr<std::unique_ptr<JournalReader>> reader = JournalReader::Open(directory);
  ASSERT_TRUE(reader.ok());
  absl::StatusOr<std::vector<JobRecord>> jobs = (*reader)->List({}, 100);
  ASSERT_TRUE(jobs.ok());
  ASSERT_EQ(jobs->size(), 2u) << "a job was lost or doubled";
  for (const JobRecord& job : *jobs) EXPECT_EQ(job.state, v1::Job::SUCCEEDED) << job.name;
  const JobRecord& mapped = jobs->back();
  EXPECT_EQ(mapped.succeeded, kTasks);
  int64_t next = 0;
  absl::StatusOr<std::vector<TaskRecord>> tasks =
      (*reader)->Tasks(mapped, {.states = uint64_t{1} << v1::Task::SUCCEEDED}, &next);
  ASSERT_TRUE(tasks.ok());
  ASSERT_EQ(tasks->size(), static_cast<size_t>(kTasks));
  for (int64_t i = 0; i < kTasks; ++i) {
    v1::Task task;
    EncodeTask((*tasks)[i], mapped.uid, &task);
    EXPECT_EQ(task.index(), i);
    EXPECT_EQ(task.result().int_(), i * 10);
  }
  next = 0;
  tasks = (*reader)->Tasks(jobs->front(), {.states = uint64_t{1} << v1::Task::SUCCEEDED}, &next);
  ASSERT_EQ(tasks->size(), 1u);
  v1::Task sum;
  EncodeTask(tasks->front(), "", &sum);
  EXPECT_EQ(sum.result().int_(), 60);

  // Every key has seen a whole run.
  std::set<std::string> keys;
  std::ifstream runs(directory + "/runs");
  for (std::string key, item; runs >> key >> item;) {
    EXPECT_EQ(key, absl::StrCat(mapped.uid, "/", item));
    keys.insert(key);
  }
  EXPECT_EQ(keys.size(), static_cast<size_t>(kTasks));
}

class CrashPointsTest : public ::testing::TestWithParam<Death> {};

TEST_P(CrashPointsTest, EveryWrite) {
  char base[] = "/tmp/interpd-crash-XXXXXX";
  ASSERT_NE(mkdtemp(base), nullptr);
  int64_t deaths = 0;
  for (int64_t at = 1;; ++at) {
    SCOPED_TRACE(absl::StrCat("write ", at));
    const std::string directory = absl::StrCat(base, "/", at);
    std::filesystem::create_directory(directory);
    const Outcome first = RunProcess(directory, at, GetParam());
    const bool died = WIFSIGNALED(first.status) && WTERMSIG(first.status) == SIGKILL;
    ASSERT_TRUE(died || first.writes > 0) << first.status << " " << first.output;
    Judge(directory, first, died ? RunProcess(directory, 0, GetParam()) : first);
    std::filesystem::remove_all(directory);
    if (HasFatalFailure() || !died) break;
    ++deaths;
  }
  EXPECT_GT(deaths, 50) << "the journal was written that often at least";
  std::cout << deaths << " writes, each of them the last once" << std::endl;
  std::filesystem::remove_all(base);
}

INSTANTIATE_TEST_SUITE_P(Deaths, CrashPointsTest, ::testing::Values(Death::kBeforeWrite, Death::kTornWrite),
                         [](const auto& info) { return info.param == Death::kTornWrite ? "Torn" : "Before"; });

}  // namespace
}  // namespace interpd::daemon

int main(int argc, char** argv) {
  using interpd::daemon::Death;
  absl::InitializeLog();
  int64_t at;
  if (argc == 4 && absl::SimpleAtoi(argv[2], &at)) {
    const Death death = std::string_view(argv[3]) == "torn" ? Death::kTornWrite : Death::kBeforeWrite;
    return interpd::daemon::RunJobs(argv[1], at, death);
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
