// What the engine of jobs does over time: schedules, restarts, timeouts, fairness, room.
#include <sys/mount.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/daemon/jobs/jobs_fixture.h"

namespace interpd::daemon {
namespace {

TEST_F(JobsTest, GoesOnAfterAStop) {
  StartJobs();
  v1::JobSpec spec = Map(absl::StrCat("import interpd, time, os\n"
                                      "def task(item):\n"
                                      "    with open('",
                                      state_dir_,
                                      "/log', 'a') as f: f.write(f'{interpd.task.key}\\n')\n"
                                      "    if item == 700: time.sleep(0.3)\n"
                                      "    return item\n"),
                         0, 3000);
  const std::string name = Submit(spec);
  for (int64_t part : {1, 700, 2000}) {
    WaitUntil(name, [part](const v1::Job& job) { return job.succeeded_count() >= part; });
    Restart();
  }
  v1::Job job = Wait(name);
  EXPECT_EQ(job.state(), v1::Job::SUCCEEDED) << job.ShortDebugString();
  std::vector<v1::Task> tasks = Results(name);
  ASSERT_EQ(tasks.size(), 3000u);
  for (int64_t i = 0; i < 3000; ++i) ASSERT_EQ(tasks[i].result().int_(), i);
}

TEST_F(JobsTest, ATaskThatTheDaemonDiesOfIsGivenUp) {
  StartJobs();
  v1::JobSpec spec = Map("import time\ndef task(item):\n    if item == 0: time.sleep(600)", 0, 2);
  spec.set_max_interruptions(2);
  spec.set_parallel(2);
  const std::string name = Submit(spec);
  WaitUntil(name, [](const v1::Job& job) { return job.succeeded_count() == 1 && job.running_count() == 1; });
  StopJobs();
  // As daemons leave it that were killed three times.
  ChangeJournal(absl::StrCat("UPDATE task SET interruptions = 2, state = ", v1::Task::RUNNING, " WHERE state <> ",
                             v1::Task::SUCCEEDED));
  StartJobs();
  v1::Job job = Wait(name);
  EXPECT_EQ(job.state(), v1::Job::FAILED);
  EXPECT_EQ(job.succeeded_count(), 1);
  std::vector<v1::Task> failed = Results(name, /*follow=*/false, {v1::Task::FAILED});
  ASSERT_EQ(failed.size(), 1u);
  EXPECT_TRUE(absl::StrContains(failed[0].error(), "the daemon ended 3 times")) << failed[0].error();
}

TEST_F(JobsTest, DamagedResultsFailWhoTakesThem) {
  StartJobs();
  const std::string first = Submit(Map("def task(item): return item", 0, 3));
  Wait(first);
  for (const char* damage : {"x''", "x'ff'"}) {
    StopJobs();
    ChangeJournal(absl::StrCat("UPDATE task SET outcome = ", damage));
    StartJobs();
    v1::JobSpec spec = Script("def task(item): return item");
    spec.add_after(first);
    spec.set_results_of_after(true);
    v1::Job job = Wait(Submit(spec));
    EXPECT_EQ(job.state(), v1::Job::FAILED);
    EXPECT_TRUE(absl::StrContains(job.error().message(), "damaged")) << job.ShortDebugString();
  }
}

TEST_F(JobsTest, ARepeatedRequestIsOne) {
  StartJobs();
  v1::Job first, second, other;
  ASSERT_TRUE(TrySubmit(Script("pass"), &first, "same").ok());
  Wait(first.name());
  ASSERT_TRUE(TrySubmit(Script("pass"), &second, "same").ok());
  EXPECT_EQ(first.name(), second.name());
  Restart();
  ASSERT_TRUE(TrySubmit(Script("pass"), &second, "same").ok());
  EXPECT_EQ(first.name(), second.name());
  ASSERT_TRUE(TrySubmit(Script("pass"), &other, "another").ok());
  EXPECT_NE(first.name(), other.name());
}

TEST_F(JobsTest, ARepeatedRequestIsAnsweredThoughANewOneWouldBeRefused) {
  options_.max_unfinished = 4;
  StartJobs();
  const std::string first = Submit(Script("pass"));
  Wait(first);
  v1::JobSpec spec = InTheFuture(Script("pass"));
  spec.add_after(first);
  v1::Job job, again, other;
  ASSERT_TRUE(TrySubmit(spec, &job, "same").ok());
  grpc::Status status;
  while (status.ok()) status = TrySubmit(InTheFuture(Script("pass")), &other);
  EXPECT_EQ(InfoOf(status).reason(), "TOO_MANY_JOBS") << status.error_message();
  status = TrySubmit(spec, &again, "same");
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(again.name(), job.name());
  // What it comes after is gone.
  ASSERT_TRUE(Cancel(job.name()).ok());
  ASSERT_TRUE(Delete(first).ok());
  EXPECT_EQ(InfoOf(TrySubmit(spec, &again)).reason(), "JOB_NOT_FOUND");
  status = TrySubmit(spec, &again, "same");
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(again.name(), job.name());
}

TEST_F(JobsTest, AnUploadThatIsSentAgainEndsTheFirst) {
  StartJobs();
  v1::JobSpec spec = Script("def task(item): pass");
  spec.mutable_values();
  const Answered first = SubmitAs("", spec, "same", /*complete=*/false);
  ASSERT_TRUE(first.ok()) << first.status();
  ASSERT_TRUE(SubmitAs("", spec, "same", /*complete=*/false).ok());
  const std::vector<int64_t> ids = {first->front().id};
  for (const Answered& refused : {Ask([&](JobEngine::Answer done) { engine_->AddInputs(ids[0], {}, std::move(done)); }),
                                  Ask([&](JobEngine::Answer done) { engine_->FinishUpload(ids, std::move(done)); })}) {
    EXPECT_EQ(ReasonOf(refused.status()), "JOB_NOT_FOUND");
    EXPECT_TRUE(absl::StrContains(refused.status().message(), "upload")) << refused.status();
    EXPECT_FALSE(absl::StrContains(refused.status().message(), "jobs/")) << refused.status();
  }
}

TEST_F(JobsTest, KnowsWhatAJobTakesInTheJournal) {
  StartJobs();
  v1::JobSpec spec = Script(
      "def task(item):\n"
      "    import interpd; print('at', item)\n"
      "    if interpd.task.attempt == 1 and item % 2: raise ValueError('x' * 5000)\n"
      "    if item == 4: raise ValueError('always')\n"
      "    return 'y' * item * 10\n");
  for (int i = 0; i < 20; ++i) spec.mutable_values()->add_runs()->mutable_ints()->add_items(i);
  spec.set_retries(1);
  spec.mutable_backoff()->set_nanos(1000);
  const std::string name = Submit(spec);
  EXPECT_EQ(Wait(name).failed_count(), 1);
  EXPECT_TRUE(Retry(name).ok());
  EXPECT_EQ(Wait(name).failed_count(), 1);
  v1::JobSpec after = Script("def task(item): return item");
  after.set_results_of_after(true);
  v1::JobSpec first = Map("def task(item): return 'z' * 100", 0, 50);
  const std::string source = Submit(first);
  after.add_after(source);
  EXPECT_EQ(Wait(Submit(after)).succeeded_count(), 50);
  StopJobs();
  absl::StatusOr<std::unique_ptr<Database>> database =
      Database::Open(JournalPath(state_dir_), Database::Access::kReadOnly);
  ASSERT_TRUE(database.ok()) << database.status();
  Rows rows = (*database)->Query(
      "SELECT bytes, 64 + length(spec) + (SELECT length(source) FROM script WHERE script.job = job.id) + "
      "(SELECT coalesce(sum(64 + length(batch)), 0) FROM input WHERE key >> 32 = job.id) + "
      "(SELECT coalesce(sum(64 + length(outcome)), 0) FROM task WHERE key >> 32 = job.id) + "
      "(SELECT coalesce(sum(64 + length(data)), 0) FROM log WHERE key >> 32 = job.id) FROM job ORDER BY id");
  int count = 0;
  for (; rows.Next(); ++count) EXPECT_EQ(rows.Int(0), rows.Int(1)) << count;
  EXPECT_EQ(count, 3);
}

TEST_F(JobsTest, ASlowJournalIsNoWedge) {
  StartJobs();
  absl::StatusOr<std::unique_ptr<Database>> other =
      Database::Open(JournalPath(state_dir_), Database::Access::kReadWrite);
  ASSERT_TRUE(other.ok()) << other.status();
  ASSERT_TRUE((*other)->Script("BEGIN IMMEDIATE").ok());  // as a disk that does not answer for a while
  absl::Notification submitted, beaten;
  std::vector<NewJob> jobs(1);
  jobs[0].script = "pass";
  engine_->Submit("", "", std::move(jobs), true, [&](Answered) { submitted.Notify(); });
  engine_->Beat([&] { beaten.Notify(); });
  beaten.WaitForNotification();
  EXPECT_FALSE(submitted.HasBeenNotified());
  ASSERT_TRUE((*other)->Script("COMMIT").ok());
  submitted.WaitForNotification();
}

TEST_F(JobsTest, AShortJobDoesNotWaitForALongOne) {
  options_.parallel = 1;
  StartJobs();
  const std::string huge = Submit(Map("def task(item): return item", 0, 100'000'000));
  WaitUntil(huge, [](const v1::Job& job) { return job.succeeded_count() > 1000; });
  v1::Job job = Wait(Submit(Script("pass")));
  EXPECT_EQ(job.state(), v1::Job::SUCCEEDED);
  EXPECT_EQ(Get(huge).state(), v1::Job::RUNNING);
  // Also when the tasks of the other are long themselves.
  ASSERT_TRUE(Cancel(huge).ok());
  const std::string sleeper = Submit(Script("import time; time.sleep(60)"));
  WaitUntil(sleeper, [](const v1::Job& job) { return job.running_count() == 1; });
  EXPECT_EQ(Wait(Submit(Script("pass"))).state(), v1::Job::SUCCEEDED);
  ASSERT_TRUE(Cancel(sleeper).ok());
}

TEST_F(JobsTest, ScheduledForATime) {
  StartJobs();
  v1::JobSpec spec = Script("pass");
  const absl::Time due = absl::Now() + absl::Milliseconds(300);
  spec.mutable_start_time()->set_seconds(absl::ToUnixSeconds(due));
  spec.mutable_start_time()->set_nanos(static_cast<int32_t>(absl::ToUnixNanos(due) % 1'000'000'000));
  v1::Job job;
  ASSERT_TRUE(TrySubmit(spec, &job).ok());
  EXPECT_EQ(job.state(), v1::Job::SCHEDULED);
  job = Wait(job.name());
  EXPECT_EQ(job.state(), v1::Job::SUCCEEDED);
  EXPECT_GE(job.start_time().seconds() * 1'000'000'000 + job.start_time().nanos(), absl::ToUnixNanos(due));

  v1::JobSpec cron = Script("pass");
  cron.set_cron("0 12 * * *");
  const absl::Time noon = absl::FromCivil(absl::CivilHour(2099, 1, 31, 12), absl::LocalTimeZone());
  cron.mutable_start_time()->set_seconds(absl::ToUnixSeconds(noon));
  ASSERT_TRUE(TrySubmit(cron, &job).ok());
  EXPECT_EQ(job.due_time().seconds(), absl::ToUnixSeconds(noon));  // the start time itself

  cron.clear_start_time();
  cron.set_cron("0 3 * * *");
  ASSERT_TRUE(TrySubmit(cron, &job).ok());
  EXPECT_EQ(job.state(), v1::Job::SCHEDULED);
  EXPECT_GT(job.due_time().seconds(), absl::ToUnixSeconds(absl::Now()));
  EXPECT_TRUE(Delete(job.name()).ok());
}

TEST_F(JobsTest, EndedJobsGoWhenTheJournalIsTooBig) {
  options_.keep_bytes = 1 << 20;
  StartJobs();
  v1::JobSpec spec = Map("def task(item): return b'x' * 100_000", 0, 20);
  const std::string first = Submit(spec);
  Wait(first);
  Restart();  // looks for room at once
  WaitUntilGone(first);
}

TEST_F(JobsTest, EndedJobsGoWhenTheyAreOld) {
  options_.keep = absl::Hours(1);
  StartJobs();
  const std::string ended = Submit(Script("pass"));
  Wait(ended);
  v1::JobSpec spec = Script("pass");
  spec.mutable_start_time()->set_seconds(absl::ToUnixSeconds(absl::Now() + absl::Hours(1)));
  const std::string scheduled = Submit(spec);
  Restart();
  EXPECT_EQ(Get(ended).state(), v1::Job::SUCCEEDED);
  options_.keep = absl::ZeroDuration();
  Restart();
  WaitUntilGone(ended);
  EXPECT_EQ(Get(scheduled).state(), v1::Job::SCHEDULED);  // however old: it has not ended
}

TEST_F(JobsTest, ATimeoutIsNoticedInAQuietDaemon) {
  StartJobs();
  v1::JobSpec spec = Map("import time\ndef task(item): time.sleep(600)", 0, 2);
  spec.mutable_timeout()->set_nanos(300'000'000);
  const absl::Time begun = absl::Now();
  EXPECT_EQ(Wait(Submit(spec)).failed_count(), 2);
  EXPECT_LT(absl::Now() - begun, absl::Seconds(20));
  // A script that hangs while it is loaded has the same time.
  spec.set_script("import time; time.sleep(600)");
  v1::Job job = Wait(Submit(spec));
  EXPECT_TRUE(absl::StrContains(job.error().message(), "loading")) << job.ShortDebugString();
}

TEST_F(JobsTest, AnIdleEngineSleeps) {
  StartJobs();
  v1::JobSpec spec = Map("import time\ndef task(item): time.sleep(600)", 0, 100);
  const std::string name = Submit(spec);
  WaitUntil(name, [](const v1::Job& job) { return job.running_count() == 1; });
  timespec before, after;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
  absl::SleepFor(absl::Seconds(1));  // what is measured is this very time
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
  EXPECT_LT(absl::DurationFromTimespec(after) - absl::DurationFromTimespec(before), absl::Milliseconds(300));
  ASSERT_TRUE(Cancel(name).ok());
}

TEST_F(JobsTest, SlowLoadersShareASlotAndGetOn) {
  options_.parallel = 1;
  StartJobs();
  std::vector<std::string> names;
  for (int i = 0; i < 3; ++i) {
    names.push_back(Submit(Map("import time; time.sleep(0.4)\ndef task(item): time.sleep(0.05)", 0, 6)));
  }
  for (const std::string& name : names) EXPECT_EQ(Wait(name).succeeded_count(), 6);
}

TEST_F(JobsTest, WhatWaitsBehindASlowTaskGoesElsewhere) {
  StartJobs();
  v1::JobSpec spec = Map("import time\ndef task(item):\n    if item == 300: time.sleep(600)\n    return item", 0, 1000);
  spec.set_parallel(2);
  const std::string name = Submit(spec);
  WaitUntil(name, [](const v1::Job& job) { return job.succeeded_count() == 999; });
  ASSERT_TRUE(Cancel(name).ok());
}

TEST_F(JobsTest, ARefusedSubmitLeavesTheOthersAlone) {
  StartJobs();
  std::vector<std::thread> threads;
  std::atomic<int> accepted{0}, refused{0};
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      for (int j = 0; j < 10; ++j) {
        v1::JobSpec spec = Script("pass");
        if (i % 2 == 1) spec.add_after("jobs/nothing");
        v1::Job job;
        ++(TrySubmit(spec, &job).ok() ? accepted : refused);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(accepted, 40);
  EXPECT_EQ(refused, 40);
}

TEST_F(JobsTest, ARequestWhoseJobWasDeletedIsANewOne) {
  StartJobs();
  v1::Job first, second;
  ASSERT_TRUE(TrySubmit(Map("def task(item): return item", 0, 3000), &first, "same").ok());
  Wait(first.name());
  ASSERT_TRUE(Delete(first.name()).ok());
  ASSERT_TRUE(TrySubmit(Script("pass"), &second, "same").ok());
  EXPECT_NE(first.name(), second.name());
}

// A disk of two megabytes, which it takes root to make.
class JobsOnAFullDiskTest : public JobsTest {
 protected:
  JobsOnAFullDiskTest() { mounted_ = mount("interpd-test", state_dir_.c_str(), "tmpfs", 0, "size=2m") == 0; }
  ~JobsOnAFullDiskTest() override {
    server_.reset();
    engine_.reset();
    if (mounted_) umount2(state_dir_.c_str(), MNT_DETACH);
  }
  bool mounted_ = false;
};

TEST_F(JobsOnAFullDiskTest, NothingAcceptedIsLost) {
  if (!mounted_) GTEST_SKIP() << "only root can mount a small disk";
  StartJobs();
  // One that will need more room for its results than there is, and that runs meanwhile.
  const std::string big = Submit(Map("def task(item): return bytes(50_000)", 0, 100));
  std::vector<std::string> accepted;
  grpc::Status status;
  while (status.ok()) {
    v1::Job job;
    status = TrySubmit(Script("# " + std::string(10'000, 'x')), &job);
    if (status.ok()) accepted.push_back(job.name());
  }
  EXPECT_EQ(InfoOf(status).reason(), "JOURNAL_FULL") << status.error_message();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(Get(big).state(), v1::Job::RUNNING);
  ASSERT_EQ(mount("interpd-test", state_dir_.c_str(), "tmpfs", MS_REMOUNT, "size=64m"), 0);
  EXPECT_EQ(Wait(big).state(), v1::Job::SUCCEEDED);
  EXPECT_EQ(Results(big).size(), 100u);
  for (const std::string& name : accepted) EXPECT_EQ(Wait(name).state(), v1::Job::SUCCEEDED);
  v1::Job job;
  EXPECT_TRUE(TrySubmit(Script("pass"), &job).ok());
}

TEST_F(JobsTest, AMillionTasksTakeLittleMemory) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "the sanitizer keeps what is freed";
#endif
  StartJobs();
  const auto rss = [this] {
    grpc::ClientContext context;
    v1::Info info;
    EXPECT_TRUE(admin_->GetInfo(&context, {}, &info).ok());
    return info.rss_bytes();
  };
  // After a first one, which has brought in all that does not depend on the number.
  Wait(Submit(Map("def task(item): return item", 0, 20'000)));
  const int64_t before = rss();
  const std::string name = Submit(Map("def task(item): return item", 0, 1'000'000));
  int64_t most = 0;
  for (int part = 1; part < 10; ++part) {
    WaitUntil(name, [part](const v1::Job& job) { return job.succeeded_count() >= part * 100'000; });
    most = std::max(most, rss());
  }
  EXPECT_EQ(Wait(name).state(), v1::Job::SUCCEEDED);
  EXPECT_LT(most - before, 64 << 20);
}

TEST_F(ServerTest, WithoutAStateDirectoryThereAreNoJobs) {
  Start();
  std::unique_ptr<v1::Jobs::Stub> jobs = v1::Jobs::NewStub(channel_);
  grpc::ClientContext context;
  v1::ListJobsResponse response;
  EXPECT_EQ(InfoOf(jobs->List(&context, {}, &response)).reason(), "JOBS_DISABLED");
}

}  // namespace
}  // namespace interpd::daemon
