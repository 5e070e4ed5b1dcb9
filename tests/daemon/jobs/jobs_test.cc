// Jobs over gRPC: from submission to their end.
#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/daemon/jobs/jobs_fixture.h"

namespace interpd::daemon {
namespace {

TEST_F(JobsTest, AScriptRunsOnce) {
  StartJobs();
  v1::JobSpec spec = Script(
      "import sys, interpd\n"
      "assert __name__ == '__main__'\n"
      "print('hello', *sys.argv[1:])\n"
      "interpd.task.result = {'key': interpd.task.key, 'attempt': interpd.task.attempt}\n");
  spec.add_args("a");
  spec.add_args("b");
  const std::string name = Submit(spec);
  v1::Job job = Wait(name);
  EXPECT_EQ(job.state(), v1::Job::SUCCEEDED) << job.ShortDebugString();
  EXPECT_EQ(job.succeeded_count(), 1);
  EXPECT_EQ(Logs(name), "hello a b\n");
  std::vector<v1::Task> tasks = Results(name);
  ASSERT_EQ(tasks.size(), 1u);
  EXPECT_EQ(tasks[0].result().container(), v1::DICT);
  EXPECT_EQ(tasks[0].result().items(1).str(), tasks[0].key());
  EXPECT_EQ(tasks[0].attempt(), 1);
  EXPECT_EQ(Get(name).spec().script(), spec.script());
}

TEST_F(JobsTest, AScriptThatFails) {
  StartJobs();
  v1::Job job = Wait(Submit(Script("print('before')\nimport sys; sys.exit(7)")));
  EXPECT_EQ(job.state(), v1::Job::FAILED);
  std::vector<v1::Task> tasks = Results(job.name());
  ASSERT_EQ(tasks.size(), 1u);
  EXPECT_EQ(tasks[0].state(), v1::Task::FAILED);
  EXPECT_EQ(tasks[0].exit_code(), 7);
  EXPECT_EQ(Logs(job.name()), "before\n");

  job = Wait(Submit(Script("1/0")));
  EXPECT_EQ(Results(job.name())[0].exception().type(), "ZeroDivisionError");

  job = Wait(Submit(Script("import interpd; interpd.task.result = object()")));
  EXPECT_EQ(job.state(), v1::Job::FAILED);
  EXPECT_TRUE(absl::StrContains(Results(job.name())[0].error(), "interpd.task.result")) << job.ShortDebugString();
}

TEST_F(JobsTest, MapsOverARange) {
  StartJobs();
  v1::JobSpec spec = Map("assert __name__ == '__task__'\ndef task(item): return item * item", 10, 5010);
  spec.set_parallel(2);
  const std::string name = Submit(spec);
  std::vector<v1::Task> tasks = Results(name, /*follow=*/true);
  ASSERT_EQ(tasks.size(), 5000u);
  for (int64_t i = 0; i < 5000; ++i) {
    EXPECT_EQ(tasks[i].index(), i);
    EXPECT_EQ(tasks[i].result().int_(), (i + 10) * (i + 10));
  }
  EXPECT_EQ(Wait(name).state(), v1::Job::SUCCEEDED);
}

TEST_F(JobsTest, MapsOverValuesThatComeInPieces) {
  StartJobs();
  v1::SubmitJobsRequest first;
  v1::JobSpec& spec = *first.add_jobs() = Script("async def task(item): return [item]");
  spec.mutable_values()->add_runs()->mutable_strs()->add_items("zero");
  first.set_more(true);
  std::vector<v1::SubmitJobsRequest> messages = {first};
  for (int i = 1; i < 5; ++i) {
    v1::SubmitJobsRequest more;
    more.set_more(true);
    auto& ints = *more.mutable_values()->add_runs()->mutable_ints();
    for (int j = 0; j < 2500; ++j) ints.add_items(i * 10'000 + j);
    messages.push_back(more);
  }
  messages.emplace_back();  // the last, with nothing in it
  v1::SubmitJobsResponse response;
  grpc::Status status = SubmitAll(messages, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.jobs(0).task_count(), 10'001);
  std::vector<v1::Task> tasks = Results(response.jobs(0).name(), true);
  ASSERT_EQ(tasks.size(), 10'001u);
  EXPECT_EQ(tasks[0].result().items(0).str(), "zero");
  EXPECT_EQ(tasks[2501].result().items(0).int_(), 20'000);
  EXPECT_EQ(tasks[10'000].result().items(0).int_(), 42'499);
}

TEST_F(JobsTest, AnInputThatNamesAChannelThatIsGoneFailsAlone) {
  StartJobs();
  {
    grpc::ClientContext context;
    Patience(context);
    v1::CreateChannelRequest request;
    request.set_channel_id("gone-before-the-task");
    v1::Channel channel;
    ASSERT_TRUE(channels_->Create(&context, request, &channel).ok());
  }
  const std::string gate = state_dir_ + "/gate";
  const std::string first =
      Submit(Script(absl::StrCat("import os, time\nwhile not os.path.exists('", gate, "'): time.sleep(0.01)")));
  v1::JobSpec spec = Script("def task(item): return item");
  v1::ValueBatch::Values& values = *spec.mutable_values()->add_runs()->mutable_values();
  for (int i = 0; i < 10; ++i) {
    v1::Value* value = values.add_items();
    if (i == 5) {
      value->set_channel("channels/gone-before-the-task");
    } else {
      value->set_int_(i);
    }
  }
  spec.add_after(first);
  const std::string name = Submit(spec);
  {
    grpc::ClientContext context;
    Patience(context);
    v1::CloseChannelRequest request;
    request.set_name("channels/gone-before-the-task");
    request.set_discard(true);
    v1::Channel channel;
    ASSERT_TRUE(channels_->Close(&context, request, &channel).ok());
  }
  std::ofstream(gate).put('x');
  v1::Job job = Wait(name);
  EXPECT_EQ(job.succeeded_count(), 9) << job.ShortDebugString();
  EXPECT_EQ(job.failed_count(), 1);
  std::vector<v1::Task> failed = Results(name, /*follow=*/false, {v1::Task::FAILED});
  ASSERT_EQ(failed.size(), 1u);
  EXPECT_EQ(failed[0].index(), 5);
  EXPECT_TRUE(absl::StrContains(failed[0].error(), "gone-before-the-task")) << failed[0].error();
}

TEST_F(JobsTest, AnUploadThatStopsLeavesNothing) {
  StartJobs();
  v1::SubmitJobsRequest first;
  *first.add_jobs() = Script("def task(item): return item");
  first.mutable_jobs(0)->mutable_values();
  first.set_more(true);
  v1::SubmitJobsResponse response;
  grpc::Status status = SubmitAll({first}, &response);
  EXPECT_EQ(InfoOf(status).reason(), "INVALID_FIELD") << status.error_message();
  grpc::ClientContext context;
  Patience(context);
  v1::ListJobsResponse list;
  ASSERT_TRUE(jobs_->List(&context, {}, &list).ok());
  EXPECT_EQ(list.jobs_size(), 0);
}

TEST_F(JobsTest, RetriesAndGivesUp) {
  StartJobs();
  v1::JobSpec spec =
      Map("import interpd\n"
          "def task(item):\n"
          "    print('attempt', interpd.task.attempt)\n"
          "    if item == 1 and interpd.task.attempt < 3: raise ValueError('not yet')\n"
          "    if item == 2: raise KeyError('never')\n"
          "    return interpd.task.attempt\n",
          0, 3);
  spec.set_retries(2);
  spec.mutable_backoff()->set_nanos(1'000'000);
  v1::Job job = Wait(Submit(spec));
  EXPECT_EQ(job.state(), v1::Job::FAILED);
  EXPECT_EQ(job.succeeded_count(), 2);
  EXPECT_EQ(job.failed_count(), 1);
  EXPECT_EQ(job.retried_count(), 4);
  std::vector<v1::Task> tasks = Results(job.name());
  ASSERT_EQ(tasks.size(), 3u);
  EXPECT_EQ(tasks[0].result().int_(), 1);
  EXPECT_EQ(tasks[1].result().int_(), 3);
  EXPECT_EQ(tasks[2].state(), v1::Task::FAILED);
  EXPECT_EQ(tasks[2].exception().type(), "KeyError");
  EXPECT_EQ(tasks[2].attempt(), 3);

  // Retry runs what has failed, and only that.
  ASSERT_TRUE(Retry(job.name()).ok());
  job = Wait(job.name());
  EXPECT_EQ(job.state(), v1::Job::FAILED);
  EXPECT_EQ(job.succeeded_count(), 2);
  EXPECT_EQ(Results(job.name())[2].attempt(), 6);
}

TEST_F(JobsTest, TimeoutsInterrupt) {
  StartJobs();
  v1::JobSpec spec = Map("import time\ndef task(item):\n  if item == 1: time.sleep(60)\n  return item", 0, 3);
  spec.mutable_timeout()->set_nanos(200'000'000);
  v1::Job job = Wait(Submit(spec));
  EXPECT_EQ(job.state(), v1::Job::FAILED);
  std::vector<v1::Task> tasks = Results(job.name());
  ASSERT_EQ(tasks.size(), 3u);
  EXPECT_TRUE(absl::StrContains(tasks[1].error(), "timeout of 200ms")) << tasks[1].ShortDebugString();
  EXPECT_EQ(tasks[2].result().int_(), 2);
}

TEST_F(JobsTest, AScriptThatDoesNotLoad) {
  StartJobs();
  v1::Job job = Wait(Submit(Map("print('loading')\nthis is no python", 0, 1'000'000)));
  EXPECT_EQ(job.state(), v1::Job::FAILED);
  EXPECT_EQ(job.error().exception().type(), "SyntaxError") << job.ShortDebugString();
  job = Wait(Submit(Map("x = 1", 0, 2)));
  EXPECT_TRUE(absl::StrContains(job.error().message(), "task(item)")) << job.ShortDebugString();
  EXPECT_EQ(Results(job.name(), false, {v1::Task::CANCELLED}).size(), 2u);
}

TEST_F(JobsTest, ComesAfterOthersWithTheirResults) {
  StartJobs();
  v1::SubmitJobsRequest request;
  *request.add_jobs() = Map("def task(item): return item + 1", 0, 3);
  request.mutable_jobs(0)->set_display_name("numbers");
  *request.add_jobs() = Script("import interpd; interpd.task.result = sum(interpd.task.after['numbers'])");
  request.mutable_jobs(1)->add_after_submitted(0);
  *request.add_jobs() = Script("def task(item): return item * 10");
  request.mutable_jobs(2)->add_after_submitted(0);
  request.mutable_jobs(2)->set_results_of_after(true);
  *request.add_jobs() = Script("raise SystemExit(1)");
  *request.add_jobs() = Script("pass");
  request.mutable_jobs(4)->add_after_submitted(3);
  v1::SubmitJobsResponse response;
  grpc::Status status = SubmitAll({request}, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(Wait(response.jobs(1).name()).state(), v1::Job::SUCCEEDED);
  EXPECT_EQ(Results(response.jobs(1).name())[0].result().int_(), 6);
  v1::Job mapped = Wait(response.jobs(2).name());
  EXPECT_EQ(mapped.state(), v1::Job::SUCCEEDED) << mapped.ShortDebugString();
  EXPECT_EQ(mapped.task_count(), 3);
  EXPECT_EQ(Results(mapped.name())[2].result().int_(), 30);
  v1::Job hopeless = Wait(response.jobs(4).name());
  EXPECT_EQ(hopeless.state(), v1::Job::FAILED);
  EXPECT_TRUE(absl::StrContains(hopeless.error().message(), response.jobs(3).name()));

  // One that names a job that has ended already.
  v1::JobSpec late = Script("import interpd; interpd.task.result = len(interpd.task.after)");
  late.add_after(response.jobs(0).name());
  EXPECT_EQ(Wait(Submit(late)).state(), v1::Job::SUCCEEDED);
  late.clear_after();
  late.add_after("jobs/nothing");
  v1::Job job;
  EXPECT_EQ(InfoOf(TrySubmit(late, &job)).reason(), "JOB_NOT_FOUND");
}

TEST_F(JobsTest, ResultsOfAfterThatIsFalseIsUnset) {
  StartJobs();
  v1::JobSpec spec = Script("print('ran')");
  spec.set_results_of_after(false);
  v1::Job job = Wait(Submit(spec));
  EXPECT_EQ(job.state(), v1::Job::SUCCEEDED);
  EXPECT_EQ(job.succeeded_count(), 1);
  EXPECT_EQ(Logs(job.name()), "ran\n");
}

TEST_F(JobsTest, RetryAfterAPredecessorWasDeleted) {
  StartJobs();
  const std::string gate = state_dir_ + "/gate";
  const std::string fails_first =
      absl::StrCat("import os\ndef task(item):\n    if not os.path.exists('", gate, "'): raise ValueError(item)\n",
                   "    return item\ntask(0) if __name__ == '__main__' else None\n");
  const std::string first = Submit(Map("def task(item): return item", 0, 3));
  v1::JobSpec spec = Script(fails_first);
  spec.add_after(first);
  const std::string uses_results = Submit(spec);
  spec.set_results_of_after(true);
  const std::string maps_results = Submit(spec);
  EXPECT_EQ(Wait(uses_results).state(), v1::Job::FAILED);
  EXPECT_EQ(Wait(maps_results).failed_count(), 3);
  ASSERT_TRUE(Delete(first).ok());
  std::ofstream(gate).put('x');

  // Its inputs were copied.
  grpc::Status retried = Retry(maps_results);
  ASSERT_TRUE(retried.ok()) << retried.error_message();
  EXPECT_EQ(Wait(maps_results).succeeded_count(), 3);

  retried = Retry(uses_results);
  EXPECT_EQ(InfoOf(retried).reason(), "JOB_STATE") << retried.error_message();
  EXPECT_TRUE(absl::StrContains(retried.error_message(), absl::StrCat(first, ", which it comes after, was deleted")))
      << retried.error_message();
  EXPECT_EQ(Get(uses_results).state(), v1::Job::FAILED);
  EXPECT_EQ(Results(uses_results).size(), 1u);  // of its one attempt
}

TEST_F(JobsTest, RetryOfARunWhoseCronJobWasDeleted) {
  StartJobs();
  const std::string gate = state_dir_ + "/gate";
  v1::JobSpec spec = Script(
      absl::StrCat("import os\ndef task(item):\n    if not os.path.exists('", gate, "'): raise ValueError(item)\n"));
  spec.mutable_range()->set_end(2);
  const std::string with_range = Submit(spec);
  spec.mutable_values()->add_runs()->mutable_ints()->add_items(1);
  const std::string with_values = Submit(spec);
  EXPECT_EQ(Wait(with_range).failed_count(), 2);
  EXPECT_EQ(Wait(with_values).failed_count(), 1);
  StopJobs();
  ChangeJournal("UPDATE job SET input_of = 1000, parent = 1000");  // as a job with a cron expression leaves them
  StartJobs();
  std::ofstream(gate).put('x');
  grpc::Status retried = Retry(with_range);
  ASSERT_TRUE(retried.ok()) << retried.error_message();
  EXPECT_EQ(Wait(with_range).succeeded_count(), 2);
  retried = Retry(with_values);
  EXPECT_EQ(InfoOf(retried).reason(), "JOB_STATE");
  EXPECT_TRUE(absl::StrContains(retried.error_message(), "inputs were deleted")) << retried.error_message();
}

TEST_F(JobsTest, MoreResultsThanTasksAreRefused) {
  StartJobs();
  const std::string first = Submit(Map("def task(item): return item", 0, 3));
  Wait(first);
  StopJobs();
  ChangeJournal(absl::StrCat("UPDATE job SET succeeded = ", kMaxTasks));
  StartJobs();
  v1::JobSpec spec = Script("def task(item): return item");
  spec.add_after(first);
  spec.set_results_of_after(true);
  v1::Job job = Wait(Submit(spec));
  EXPECT_EQ(job.state(), v1::Job::FAILED);
  EXPECT_TRUE(absl::StrContains(job.error().message(), "more than 2147483647")) << job.ShortDebugString();
}

TEST_F(JobsTest, NamesSoManyToWaitForAndNotMore) {
  StartJobs();
  v1::SubmitJobsRequest request;
  for (int i = 0; i < 11; ++i) {
    v1::JobSpec& spec = *request.add_jobs() = Script("pass");
    for (int j = 0; j < 1000; ++j) spec.add_after(absl::StrCat("jobs/none", j));
  }
  v1::SubmitJobsResponse response;
  grpc::Status status = SubmitAll({request}, &response);
  EXPECT_EQ(InfoOf(status).reason(), "INVALID_FIELD") << status.error_message();
  request.mutable_jobs()->RemoveLast();
  status = SubmitAll({request}, &response);
  EXPECT_EQ(InfoOf(status).reason(), "JOB_NOT_FOUND") << status.error_message();
}

TEST_F(JobsTest, CancelInterruptsAndRetryGoesOn) {
  StartJobs();
  const std::string file = state_dir_ + "/ran";
  v1::JobSpec spec = Map(absl::StrCat("import time, os\n"
                                      "def task(item):\n"
                                      "    if item == 2 and not os.path.exists('",
                                      file,
                                      "'):\n"
                                      "        open('",
                                      file,
                                      "', 'w').close(); time.sleep(60)\n"
                                      "    return item\n"),
                         0, 5);
  const std::string name = Submit(spec);
  WaitUntil(name, [&](const v1::Job& job) { return job.succeeded_count() == 2; });
  while (!std::filesystem::exists(file)) std::this_thread::yield();
  ASSERT_TRUE(Cancel(name).ok());
  v1::Job job = Get(name);
  EXPECT_EQ(job.state(), v1::Job::CANCELLED);
  EXPECT_EQ(job.succeeded_count(), 2);
  EXPECT_EQ(Results(name, false, {v1::Task::CANCELLED}).size(), 3u);
  ASSERT_TRUE(Cancel(name).ok());  // nothing happens
  // Which waits until the sleeper has ended.
  grpc::Status retried = Retry(name);
  ASSERT_TRUE(retried.ok()) << retried.error_message();
  EXPECT_EQ(Wait(name).state(), v1::Job::SUCCEEDED);
  EXPECT_EQ(Results(name).size(), 5u);
  EXPECT_EQ(InfoOf(Retry(name)).reason(), "JOB_STATE");
}

TEST_F(JobsTest, DeletedIsGone) {
  StartJobs();
  const std::string name = Submit(Map("def task(item): print(item); return item", 0, 2000));
  EXPECT_EQ(Wait(name).state(), v1::Job::SUCCEEDED);
  ASSERT_TRUE(Delete(name).ok());
  EXPECT_EQ(InfoOf(Delete(name)).reason(), "JOB_NOT_FOUND");
  EXPECT_EQ(InfoOf(Cancel(name)).reason(), "JOB_NOT_FOUND");
  const std::string running = Submit(Script("import time; time.sleep(60)"));
  EXPECT_EQ(InfoOf(Delete(running)).reason(), "JOB_STATE");
  ASSERT_TRUE(Cancel(running).ok());
  ASSERT_TRUE(Delete(running).ok());
}

TEST_F(JobsTest, SaysWhatIsWrong) {
  StartJobs();
  const auto reason = [&](auto change) {
    v1::JobSpec spec = Map("def task(item): pass", 0, 1);
    change(spec);
    v1::Job job;
    grpc::Status status = TrySubmit(spec, &job);
    return absl::StrCat(
        InfoOf(status).reason(), " ",
        InfoOf(status).metadata().count("field") ? InfoOf(status).metadata().at("field") : status.error_message());
  };
  EXPECT_EQ(reason([](v1::JobSpec& spec) { spec.clear_script(); }), "INVALID_FIELD jobs[0].script");
  EXPECT_EQ(reason([](v1::JobSpec& spec) { spec.set_parallel(-1); }), "INVALID_FIELD jobs[0].parallel");
  EXPECT_EQ(reason([](v1::JobSpec& spec) { spec.set_retries(1001); }), "INVALID_FIELD jobs[0].retries");
  EXPECT_EQ(reason([](v1::JobSpec& spec) { spec.mutable_range()->set_end(-1); }), "INVALID_FIELD jobs[0].range");
  EXPECT_EQ(reason([](v1::JobSpec& spec) {
              spec.mutable_range()->set_begin(std::numeric_limits<int64_t>::min());
              spec.mutable_range()->set_end(std::numeric_limits<int64_t>::max());
            }),
            "INVALID_FIELD jobs[0].range");
  EXPECT_EQ(reason([](v1::JobSpec& spec) { spec.mutable_timeout()->set_seconds(0); }), "INVALID_FIELD jobs[0].timeout");
  EXPECT_EQ(reason([](v1::JobSpec& spec) { spec.set_cron("sometimes"); }), "INVALID_FIELD jobs[0].cron");
  EXPECT_EQ(reason([](v1::JobSpec& spec) { spec.add_after("nonsense"); }), "INVALID_FIELD jobs[0].after[0]");
  EXPECT_EQ(reason([](v1::JobSpec& spec) { spec.add_after_submitted(0); }), "INVALID_FIELD jobs[0].after_submitted");
  EXPECT_EQ(reason([](v1::JobSpec& spec) {
              spec.add_after("jobs/one");
              spec.add_after("jobs/one");
            }),
            "INVALID_FIELD jobs[0].after[1]");
  EXPECT_EQ(reason([](v1::JobSpec& spec) {
              v1::Value& list = *spec.mutable_values()->add_runs()->mutable_values()->add_items();
              list.set_container(v1::LIST);
              list.add_items()->set_channel("channels/~1");
            }),
            "INVALID_FIELD values");
  EXPECT_EQ(reason([](v1::JobSpec& spec) { spec.set_results_of_after(true); }),
            "INVALID_FIELD jobs[0].results_of_after");
  EXPECT_EQ(reason([](v1::JobSpec& spec) { spec.mutable_interpreter()->set_setup_source("x"); }),
            "INVALID_FIELD jobs[0].interpreter.setup_source");
  EXPECT_EQ(reason([](v1::JobSpec& spec) { spec.set_display_name(std::string("a\0b", 3)); }),
            "INVALID_FIELD jobs[0].display_name");
  EXPECT_EQ(InfoOf(Cancel("jobs/nothing")).reason(), "JOB_NOT_FOUND");
  EXPECT_EQ(InfoOf(Cancel("nothing")).reason(), "INVALID_FIELD");
}

TEST_F(JobsTest, ListsTheNewestFirst) {
  StartJobs();
  std::vector<std::string> names;
  for (int i = 0; i < 5; ++i) names.push_back(Submit(Script("pass")));
  for (const std::string& name : names) Wait(name);
  std::reverse(names.begin(), names.end());
  std::vector<std::string> listed;
  v1::ListJobsRequest request;
  request.set_page_size(2);
  do {
    grpc::ClientContext context;
    Patience(context);
    v1::ListJobsResponse response;
    ASSERT_TRUE(jobs_->List(&context, request, &response).ok());
    for (const v1::Job& job : response.jobs()) listed.push_back(job.name());
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());
  EXPECT_EQ(listed, names);
  request.add_states(v1::Job::FAILED);
  grpc::ClientContext context;
  v1::ListJobsResponse response;
  ASSERT_TRUE(jobs_->List(&context, request, &response).ok());
  EXPECT_EQ(response.jobs_size(), 0);
}

TEST_F(JobsTest, LogsAreFollowedAndBounded) {
  StartJobs();
  v1::JobSpec spec = Script("import sys\nfor i in range(3000): print(i)\nsys.stderr.write('x' * 100000)");
  spec.set_log_limit_bytes(20'000);
  const std::string name = Submit(spec);
  const std::string text = Logs(name, /*follow=*/true);
  EXPECT_LE(text.size(), 20'000u);  // records cost something too
  EXPECT_GT(text.size(), 10'000u);
  EXPECT_TRUE(text.starts_with("0\n1\n2\n"));
}

}  // namespace
}  // namespace interpd::daemon
