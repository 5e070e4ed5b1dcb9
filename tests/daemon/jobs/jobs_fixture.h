// An engine of jobs and a server over it, in this process, and a client that submits, waits and reads.
//
// Who includes this: the tests of jobs.
#ifndef INTERPD_TESTS_DAEMON_JOBS_JOBS_FIXTURE_H_
#define INTERPD_TESTS_DAEMON_JOBS_JOBS_FIXTURE_H_

#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "channels/error.h"
#include "daemon/jobs/job_engine.h"
#include "daemon/jobs/job_proto.h"
#include "daemon/jobs/journal_file.h"
#include "interpd/v1/jobs.grpc.pb.h"
#include "tests/daemon/test_server.h"

namespace interpd::daemon {

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

  void StopJobs() {
    server_.reset();
    engine_.reset();
    std::filesystem::remove_all(directory_);
  }
  // As a daemon that is stopped and started again.
  void Restart() {
    StopJobs();
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

  // What the engine answers to `command`, which is given what to call.
  using Answered = absl::StatusOr<std::vector<JobRecord>>;
  template <typename Command>
  static Answered Ask(Command command) {
    Answered answered;
    absl::Notification done;
    command([&](Answered answer) {
      answered = std::move(answer);
      done.Notify();
    });
    done.WaitForNotification();
    return answered;
  }
  // As the user whose space that is ("alice/").
  Answered SubmitAs(const std::string& space, v1::JobSpec spec, const std::string& request_id = "",
                    bool complete = true) {
    ChannelNames names(interpd::testing::Channels(), space);
    absl::StatusOr<NewJob> job = DecodeJob(std::move(spec), 0, {}, names);
    if (!job.ok()) return job.status();
    std::vector<NewJob> jobs;
    jobs.push_back(*std::move(job));
    return Ask([&](JobEngine::Answer done) {
      engine_->Submit(space, request_id, std::move(jobs), complete, std::move(done));
    });
  }
  static v1::JobSpec InTheFuture(v1::JobSpec spec) {
    spec.mutable_start_time()->set_seconds(absl::ToUnixSeconds(absl::Now() + absl::Hours(24)));
    return spec;
  }
  static std::string ReasonOf(const absl::Status& status) { return channels::GetErrorInfo(status).reason; }

  // Changes the journal, which nobody may have open.
  void ChangeJournal(const std::string& script) {
    absl::StatusOr<std::unique_ptr<Database>> database =
        Database::Open(JournalPath(state_dir_), Database::Access::kReadWrite);
    ASSERT_TRUE(database.ok()) << database.status();
    absl::Status changed = (*database)->Script(script.c_str());
    ASSERT_TRUE(changed.ok()) << changed;
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
  // Until there is no such job any more.
  void WaitUntilGone(const std::string& name) {
    for (;;) {
      grpc::ClientContext context;
      Patience(context);
      v1::GetJobRequest request;
      request.set_name(name);
      v1::Job job;
      grpc::Status status = jobs_->Get(&context, request, &job);
      if (status.ok()) continue;
      EXPECT_EQ(InfoOf(status).reason(), "JOB_NOT_FOUND");
      return;
    }
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

}  // namespace interpd::daemon

#endif  // INTERPD_TESTS_DAEMON_JOBS_JOBS_FIXTURE_H_
