// What jobs of one owner may do to those of others: nothing about their room, their slots and their channels.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/daemon/jobs/jobs_fixture.h"

namespace interpd::daemon {
namespace {

constexpr char kAlice[] = "unix:alice/";
constexpr char kBob[] = "unix:bob/";

std::string NameOf(const absl::StatusOr<std::vector<JobRecord>>& answered) {
  EXPECT_TRUE(answered.ok()) << answered.status();
  return answered.ok() ? JobResourceName(answered->front().name) : "jobs/none";
}

v1::JobSpec Sized(size_t bytes) {
  v1::JobSpec spec;
  spec.set_script(absl::StrCat("# ", std::string(bytes, 'x')));
  return spec;
}

TEST_F(JobsTest, WhoFillsTheJournalLosesHisOwnJobs) {
  options_.keep_bytes = 4 << 20;
  StartJobs();
  const std::string bobs = NameOf(SubmitAs(kBob, Script("pass")));
  Wait(bobs);
  std::vector<std::string> alices;
  for (int i = 0; i < 3; ++i) {
    alices.push_back(NameOf(SubmitAs(kAlice, Map("def task(item): return b'x' * 100_000", 0, 20))));
    Wait(alices.back());
  }
  Restart();  // looks for room at once
  WaitUntilGone(alices[0]);
  EXPECT_EQ(Get(bobs).state(), v1::Job::SUCCEEDED);  // though it ended first
  EXPECT_EQ(Get(alices[2]).state(), v1::Job::SUCCEEDED);
}

TEST_F(JobsTest, WhatHasNotEndedPushesNobodyOut) {
  options_.keep_bytes = 2 << 20;
  StartJobs();
  const std::string bobs = NameOf(SubmitAs(kBob, Script("pass")));
  Wait(bobs);
  const std::string alices = NameOf(SubmitAs(
      kAlice,
      Map("def task(item):\n    if item == 40: import time; time.sleep(600)\n    return b'x' * 100_000", 0, 41)));
  WaitUntil(alices, [](const v1::Job& job) { return job.succeeded_count() == 40; });
  Restart();
  // It looks for room in the round of the first command that it answers, at the latest.
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(SubmitAs(kBob, InTheFuture(Script("pass"))).ok());
  EXPECT_EQ(Get(bobs).state(), v1::Job::SUCCEEDED);
  ASSERT_TRUE(Cancel(alices).ok());
}

TEST_F(JobsTest, UnfinishedJobsOfOneOwnerTakeHalfOfTheJournalAtMost) {
  options_.keep_bytes = 2 << 20;
  StartJobs();
  const auto first = SubmitAs(kAlice, InTheFuture(Sized(600'000)));
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(ReasonOf(SubmitAs(kAlice, InTheFuture(Sized(600'000))).status()), "JOURNAL_FULL");
  EXPECT_TRUE(SubmitAs(kBob, InTheFuture(Sized(600'000))).ok());
  Restart();
  EXPECT_EQ(ReasonOf(SubmitAs(kAlice, InTheFuture(Sized(600'000))).status()), "JOURNAL_FULL");

  // Inputs that come later count as well.
  v1::JobSpec spec = Script("def task(item): pass");
  spec.mutable_values();
  const auto upload = SubmitAs(kAlice, spec, "", /*complete=*/false);
  ASSERT_TRUE(upload.ok()) << upload.status();
  const auto add = [&](size_t bytes) {
    return Ask([&](JobEngine::Answer done) {
      engine_->AddInputs(upload->front().id, {{.bytes = std::string(bytes, 'x'), .count = 1}}, std::move(done));
    });
  };
  EXPECT_TRUE(add(200'000).ok());
  EXPECT_TRUE(add(200'000).ok());
  EXPECT_EQ(ReasonOf(add(200'000).status()), "JOURNAL_FULL");

  // What ends, or is given up, makes room.
  engine_->DropUpload({upload->front().id});
  ASSERT_TRUE(Cancel(JobResourceName(first->front().name)).ok());
  EXPECT_TRUE(SubmitAs(kAlice, InTheFuture(Sized(600'000))).ok());
}

TEST_F(JobsTest, AUserMayHaveHalfOfTheUnfinishedJobs) {
  options_.max_unfinished = 5;
  StartJobs();
  v1::JobSpec spec = Script("def task(item): pass");
  spec.mutable_values();
  EXPECT_TRUE(SubmitAs(kAlice, InTheFuture(Script("pass"))).ok());
  EXPECT_TRUE(SubmitAs(kAlice, spec, "", /*complete=*/false).ok());  // an open upload
  const absl::Status refused = SubmitAs(kAlice, InTheFuture(Script("pass"))).status();
  EXPECT_EQ(ReasonOf(refused), "TOO_MANY_JOBS");
  EXPECT_TRUE(absl::StrContains(refused.message(), "you have 2")) << refused;
  EXPECT_TRUE(SubmitAs(kBob, InTheFuture(Script("pass"))).ok());
  // Admins may have all that is left.
  EXPECT_TRUE(SubmitAs("", InTheFuture(Script("pass"))).ok());
  EXPECT_TRUE(SubmitAs("", InTheFuture(Script("pass"))).ok());
  EXPECT_EQ(ReasonOf(SubmitAs("", InTheFuture(Script("pass"))).status()), "TOO_MANY_JOBS");
}

TEST_F(JobsTest, RetryTakesNoMoreRoomThanSubmit) {
  options_.max_unfinished = 4;
  StartJobs();
  const std::string first = NameOf(SubmitAs(kAlice, InTheFuture(Script("pass"))));
  ASSERT_TRUE(Cancel(first).ok());
  const std::string second = NameOf(SubmitAs(kAlice, InTheFuture(Script("pass"))));
  NameOf(SubmitAs(kAlice, InTheFuture(Script("pass"))));
  EXPECT_EQ(InfoOf(Retry(first)).reason(), "TOO_MANY_JOBS");
  EXPECT_EQ(Get(first).state(), v1::Job::CANCELLED);
  ASSERT_TRUE(Cancel(second).ok());
  EXPECT_TRUE(Retry(first).ok());
}

TEST_F(JobsTest, ManyUrgentJobsOfAnotherTakeHalfOfTheSlots) {
  StartJobs();
  v1::JobSpec spec = Map("import time\ndef task(item): time.sleep(0.01)", 0, 1'000'000);
  spec.set_parallel(2);
  spec.set_priority(100);
  std::vector<std::string> alices;
  for (int i = 0; i < 10; ++i) alices.push_back(NameOf(SubmitAs(kAlice, spec)));
  for (const std::string& name : {alices[0], alices[1]}) {
    WaitUntil(name, [](const v1::Job& job) { return job.succeeded_count() > 0; });
  }
  const auto count = [&] {
    int64_t sum = 0;
    for (const std::string& name : alices) sum += Get(name).succeeded_count();
    return sum;
  };
  const int64_t before = count();
  spec.set_priority(-100);
  spec.mutable_range()->set_end(400);
  EXPECT_EQ(Wait(NameOf(SubmitAs(kBob, spec))).succeeded_count(), 400);
  const int64_t meanwhile = count() - before;
  EXPECT_LT(meanwhile, 2 * 400);
  EXPECT_GT(meanwhile, 400 / 4);
  for (const std::string& name : alices) EXPECT_TRUE(Cancel(name).ok());
}

TEST_F(JobsTest, AnOwnerWhoHasNoSlotGetsOneWhereAllSleep) {
  options_.parallel = 1;
  StartJobs();
  std::vector<std::string> sleepers;
  for (int i = 0; i < 3; ++i) sleepers.push_back(NameOf(SubmitAs(kAlice, Script("import time; time.sleep(600)"))));
  for (int i = 0; i < 2; ++i) {
    WaitUntil(sleepers[i], [](const v1::Job& job) { return job.running_count() == 1; });
  }
  EXPECT_EQ(Wait(NameOf(SubmitAs(kBob, Script("pass")))).state(), v1::Job::SUCCEEDED);
  EXPECT_EQ(Get(sleepers[2]).running_count(), 0);
  for (const std::string& name : sleepers) EXPECT_TRUE(Cancel(name).ok());
}

// Names of channels in results mean what the owner of the job calls so, whoever reads them.
TEST_F(JobsTest, ChannelsInResultsAreTheirOwners) {
  StartJobs();
  const std::string source = NameOf(SubmitAs(kAlice, Script("import interpd\n"
                                                            "channel = interpd.channel('one')\n"
                                                            "channel.send(7)\n"
                                                            "interpd.task.result = [channel, interpd.channel()]")));
  EXPECT_EQ(Wait(source).state(), v1::Job::SUCCEEDED);
  std::vector<v1::Task> results = Results(source);
  ASSERT_EQ(results.size(), 1u);
  EXPECT_EQ(results[0].result().items(0).channel(), "channels/unix:alice/one");

  // Beside one that an admin calls so.
  v1::JobSpec spec =
      Script("import interpd; own = interpd.channel('one')\ndef task(item): return [len(c) for c in item]");
  spec.add_after(source);
  spec.set_results_of_after(true);
  const std::string mapped = Submit(spec);
  EXPECT_EQ(Wait(mapped).state(), v1::Job::SUCCEEDED);
  results = Results(mapped);
  ASSERT_EQ(results.size(), 1u);
  ASSERT_EQ(results[0].result().items_size(), 2) << results[0].ShortDebugString();
  EXPECT_EQ(results[0].result().items(0).int_(), 1);
  EXPECT_EQ(results[0].result().items(1).int_(), 0);

  spec = Script(absl::StrCat("import interpd; own = interpd.channel('one')\n",
                             "interpd.task.result = len(interpd.task.after['", source, "'][0][0])"));
  spec.add_after(source);
  const std::string after = Submit(spec);
  EXPECT_EQ(Wait(after).state(), v1::Job::SUCCEEDED);
  EXPECT_EQ(Results(after)[0].result().int_(), 1);
}

}  // namespace
}  // namespace interpd::daemon
