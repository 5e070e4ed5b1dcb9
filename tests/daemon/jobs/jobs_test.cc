// Jobs over gRPC, in this process: from submission to their end, and across restarts of the engine.
#include <sys/mount.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "daemon/jobs/job_engine.h"
#include "interpd/v1/jobs.grpc.pb.h"
#include "tests/daemon/test_server.h"

namespace interpd::daemon {
namespace {

class JobsTest : public ServerTest {
 protected:
  JobsTest() {
    char directory[] = "/tmp/interpd-jobs-XXXXXX";
    EXPECT_NE(mkdtemp(directory), nullptr);
    state_dir_ = directory;
    options_.directory = state_dir_;
    options_.parallel = 2;
  }
  ~JobsTest() override {
    server_.reset();
    engine_.reset();
    std::filesystem::remove_all(state_dir_);
  }

  void StartJobs() {
    absl::StatusOr<std::unique_ptr<JobEngine>> engine = JobEngine::Open(options_);
    ASSERT_TRUE(engine.ok()) << engine.status();
    engine_ = *std::move(engine);
    ServerOptions options;
    options.jobs = engine_.get();
    Start(std::move(options));
    jobs_ = v1::Jobs::NewStub(channel_);
  }

  // As a daemon that is stopped and started again.
  void Restart() {
    server_.reset();
    engine_.reset();
    std::filesystem::remove_all(directory_);
    StartJobs();
  }

  static v1::JobSpec Script(const std::string& source) {
    v1::JobSpec spec;
    spec.set_script(source);
    return spec;
  }
  static v1::JobSpec Map(const std::string& source, int64_t begin, int64_t end) {
    v1::JobSpec spec = Script(source);
    spec.mutable_range()->set_begin(begin);
    spec.mutable_range()->set_end(end);
    return spec;
  }

  grpc::Status SubmitAll(const std::vector<v1::SubmitJobsRequest>& messages, v1::SubmitJobsResponse* response) {
    grpc::ClientContext context;
    Patience(context);
    auto writer = jobs_->Submit(&context, response);
    for (const auto& message : messages) {
      if (!writer->Write(message)) break;
    }
    writer->WritesDone();
    return writer->Finish();
  }
  grpc::Status TrySubmit(v1::JobSpec spec, v1::Job* job, const std::string& request_id = "") {
    v1::SubmitJobsRequest request;
    *request.add_jobs() = std::move(spec);
    request.set_request_id(request_id);
    v1::SubmitJobsResponse response;
    grpc::Status status = SubmitAll({request}, &response);
    if (status.ok()) *job = response.jobs(0);
    return status;
  }
  std::string Submit(v1::JobSpec spec) {
    v1::Job job;
    grpc::Status status = TrySubmit(std::move(spec), &job);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return job.name();
  }

  v1::Job Get(const std::string& name) {
    grpc::ClientContext context;
    Patience(context);
    v1::GetJobRequest request;
    request.set_name(name);
    v1::Job job;
    grpc::Status status = jobs_->Get(&context, request, &job);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return job;
  }

  // Until it has ended; as Watch told last.
  v1::Job Wait(const std::string& name) {
    grpc::ClientContext context;
    Patience(context);
    v1::WatchJobsRequest request;
    request.add_names(name);
    auto reader = jobs_->Watch(&context, request);
    v1::WatchJobsResponse message;
    v1::Job job;
    while (reader->Read(&message)) job = message.jobs(0);
    grpc::Status status = reader->Finish();
    EXPECT_TRUE(status.ok()) << status.error_message();
    return job;
  }
  // Until `holds` of it.
  template <typename Holds>
  void WaitUntil(const std::string& name, Holds holds) {
    grpc::ClientContext context;
    Patience(context);
    v1::WatchJobsRequest request;
    request.add_names(name);
    auto reader = jobs_->Watch(&context, request);
    v1::WatchJobsResponse message;
    while (reader->Read(&message)) {
      if (holds(message.jobs(0))) return context.TryCancel();
    }
    ADD_FAILURE() << "the job ended before: " << message.ShortDebugString();
  }

  std::vector<v1::Task> Results(const std::string& name, bool follow = false,
                                std::vector<v1::Task::State> states = {}) {
    grpc::ClientContext context;
    Patience(context);
    v1::JobResultsRequest request;
    request.set_name(name);
    request.set_follow(follow);
    for (v1::Task::State state : states) request.add_states(state);
    auto reader = jobs_->Results(&context, request);
    std::vector<v1::Task> tasks;
    v1::JobResultsResponse message;
    while (reader->Read(&message)) tasks.insert(tasks.end(), message.tasks().begin(), message.tasks().end());
    grpc::Status status = reader->Finish();
    EXPECT_TRUE(status.ok()) << status.error_message();
    return tasks;
  }

  std::string Logs(const std::string& name, bool follow = false) {
    grpc::ClientContext context;
    Patience(context);
    v1::JobLogsRequest request;
    request.set_name(name);
    request.set_follow(follow);
    auto reader = jobs_->Logs(&context, request);
    std::string text;
    v1::JobLogsResponse message;
    while (reader->Read(&message)) text += message.output().data();
    EXPECT_TRUE(reader->Finish().ok());
    return text;
  }

  template <typename Request, typename Response>
  grpc::Status Do(grpc::Status (v1::Jobs::Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                  const std::string& name) {
    grpc::ClientContext context;
    Patience(context);
    Request request;
    request.set_name(name);
    Response response;
    return (jobs_.get()->*method)(&context, request, &response);
  }
  grpc::Status Cancel(const std::string& name) { return Do(&v1::Jobs::Stub::Cancel, name); }
  grpc::Status Retry(const std::string& name) { return Do(&v1::Jobs::Stub::Retry, name); }
  grpc::Status Delete(const std::string& name) { return Do(&v1::Jobs::Stub::Delete, name); }

  std::string FileText(const std::string& name) {
    std::ifstream stream(state_dir_ + "/" + name);
    std::ostringstream text;
    text << stream.rdbuf();
    return text.str();
  }

  JobOptions options_;
  std::string state_dir_;
  std::unique_ptr<JobEngine> engine_;
  std::unique_ptr<v1::Jobs::Stub> jobs_;
};

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
  cron.set_cron("0 3 * * *");
  ASSERT_TRUE(TrySubmit(cron, &job).ok());
  EXPECT_EQ(job.state(), v1::Job::SCHEDULED);
  EXPECT_GT(job.due_time().seconds(), absl::ToUnixSeconds(absl::Now()));
  EXPECT_TRUE(Delete(job.name()).ok());
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

TEST_F(JobsTest, EndedJobsGoWhenTheJournalIsTooBig) {
  options_.keep_bytes = 1 << 20;
  StartJobs();
  v1::JobSpec spec = Map("def task(item): return b'x' * 100_000", 0, 20);
  const std::string first = Submit(spec);
  Wait(first);
  Restart();  // looks for room at once
  for (;;) {
    grpc::ClientContext context;
    Patience(context);
    v1::GetJobRequest request;
    request.set_name(first);
    v1::Job job;
    grpc::Status status = jobs_->Get(&context, request, &job);
    if (status.ok()) continue;
    EXPECT_EQ(InfoOf(status).reason(), "JOB_NOT_FOUND");
    break;
  }
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
