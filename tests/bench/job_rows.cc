// Rows of jobs: submits beside plain SQLite transactions on the same file system, tasks beside calls.
#include <sqlite3.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "client/client.h"
#include "tests/bench/daemon.h"
#include "tests/bench/row.h"
#include "tests/bench/rpc_load.h"
#include "tests/bench/statistics.h"

namespace interpd::bench {
namespace {

constexpr int kScriptBytes = 1000;
// Clients that submit one job each at a time.
constexpr int kSubmitters = 16;
constexpr int kJobsInBatch = 100;
constexpr int kBatchSubmitters = 4;

// A directory of our own beside the journal's, so that both are on one file system.
class Directory {
 public:
  Directory() {
    std::string name = (std::filesystem::temp_directory_path() / "interpd-bench-XXXXXX").string();
    if (mkdtemp(name.data()) != nullptr) path_ = name;
  }
  ~Directory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// A daemon with a journal, a connection for each submitter, and plain SQLite beside it.
struct Bench {
  Directory directory;
  std::unique_ptr<ServerProcess> daemon;
  std::vector<std::unique_ptr<client::Client>> clients;

  static absl::StatusOr<std::unique_ptr<Bench>> Start(int clients) {
    auto bench = std::make_unique<Bench>();
    const std::filesystem::path& path = bench->directory.path();
    if (path.empty()) return absl::InternalError("cannot make a directory");
    // As many jobs as are submitted may wait.
    std::ofstream(path / "config.toml")
        << "[jobs]\nmax_unfinished = 1000000\nkeep_bytes = 100000000000\nparallel = 1\n";
    absl::StatusOr<std::unique_ptr<ServerProcess>> daemon =
        ServerProcess::Start({RunfilePath("daemon/interpd"), "--config", (path / "config.toml").string(), "--state-dir",
                              (path / "state").string()});
    if (!daemon.ok()) return daemon.status();
    bench->daemon = *std::move(daemon);
    for (int i = 0; i < clients; ++i) {
      absl::StatusOr<std::unique_ptr<client::Client>> client = client::Client::Connect(bench->daemon->address());
      if (!client.ok()) return client.status();
      bench->clients.push_back(*std::move(client));
    }
    return bench;
  }
};

// A job that only costs its submit, once the daemon's one slot is taken.
v1::JobSpec WaitingJob() {
  v1::JobSpec spec;
  spec.set_display_name("bench");
  spec.set_script(absl::StrCat("pass  # ", std::string(kScriptBytes, 'x')));
  return spec;
}

// Takes the daemon's one slot for as long as it lives.
absl::Status TakeSlot(client::Client& client) {
  v1::SubmitJobsRequest request;
  request.add_jobs()->set_script("import time\ntime.sleep(1e6)\n");
  absl::StatusOr<std::vector<v1::Job>> jobs = client.SubmitJobs(request);
  if (!jobs.ok()) return jobs.status();
  client::Cancellation seen;
  absl::Status status = client.WatchJobs(std::vector<std::string>{jobs->front().name()},
                                         [&seen](const v1::WatchJobsResponse& response) {
                                           if (response.jobs(0).running_count() > 0) seen.Cancel();
                                         },
                                         {.cancellation = &seen});
  return absl::IsCancelled(status) ? absl::OkStatus() : status;
}

// Submits `batch` jobs a request from `clients` clients at once. Returns jobs a second.
absl::StatusOr<double> SubmitRate(Bench& bench, int clients, int batch, absl::Duration time) {
  v1::SubmitJobsRequest request;
  for (int i = 0; i < batch; ++i) *request.add_jobs() = WaitingJob();
  std::atomic<int64_t> submitted = 0;
  absl::Mutex mutex;
  absl::Status first;
  const absl::Time begin = absl::Now();
  const auto work = [&](client::Client& client) {
    while (absl::Now() < begin + time) {
      absl::StatusOr<std::vector<v1::Job>> jobs = client.SubmitJobs(request);
      if (!jobs.ok()) {
        absl::MutexLock lock(mutex);
        first.Update(jobs.status());
        return;
      }
      submitted += static_cast<int64_t>(jobs->size());
    }
  };
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < clients; ++i) threads.emplace_back([&, i] { work(*bench.clients[i]); });
  }
  if (!first.ok()) return first;
  return static_cast<double>(submitted) / absl::ToDoubleSeconds(absl::Now() - begin);
}

// One row of as many bytes a transaction, on disk when it returns.
class PlainSqlite {
 public:
  static absl::StatusOr<std::unique_ptr<PlainSqlite>> Open(const std::filesystem::path& file) {
    auto plain = std::make_unique<PlainSqlite>();
    if (sqlite3_open(file.c_str(), &plain->database_) != SQLITE_OK) return plain->Error();
    for (const char* sql :
         {"PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL",
          "CREATE TABLE job(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, spec BLOB, script BLOB)"}) {
      if (sqlite3_exec(plain->database_, sql, nullptr, nullptr, nullptr) != SQLITE_OK) return plain->Error();
    }
    if (sqlite3_prepare_v2(plain->database_, "INSERT INTO job(name, spec, script) VALUES(?, ?, ?)", -1, &plain->insert_,
                           nullptr) != SQLITE_OK) {
      return plain->Error();
    }
    return plain;
  }
  ~PlainSqlite() {
    sqlite3_finalize(insert_);
    sqlite3_close(database_);
  }

  // Transactions a second.
  absl::StatusOr<double> Rate(absl::Duration time) {
    v1::JobSpec spec = WaitingJob();
    const std::string script = spec.script();
    spec.clear_script();
    const std::string bytes = spec.SerializeAsString();
    const absl::Time begin = absl::Now();
    int64_t done = 0;
    while (absl::Now() < begin + time) {
      const std::string name = absl::StrCat("job", next_++);
      sqlite3_bind_text(insert_, 1, name.data(), static_cast<int>(name.size()), SQLITE_STATIC);
      sqlite3_bind_blob(insert_, 2, bytes.data(), static_cast<int>(bytes.size()), SQLITE_STATIC);
      sqlite3_bind_blob(insert_, 3, script.data(), static_cast<int>(script.size()), SQLITE_STATIC);
      if (sqlite3_step(insert_) != SQLITE_DONE) return Error();
      sqlite3_reset(insert_);
      ++done;
    }
    return static_cast<double>(done) / absl::ToDoubleSeconds(absl::Now() - begin);
  }

 private:
  absl::Status Error() const { return absl::InternalError(absl::StrCat("SQLite: ", sqlite3_errmsg(database_))); }

  sqlite3* database_ = nullptr;
  sqlite3_stmt* insert_ = nullptr;
  int64_t next_ = 0;
};

absl::StatusOr<std::vector<Row>> MeasureSubmit(const Options& options) {
  absl::StatusOr<std::unique_ptr<Bench>> bench = Bench::Start(kSubmitters);
  if (!bench.ok()) return bench.status();
  absl::StatusOr<std::unique_ptr<PlainSqlite>> plain = PlainSqlite::Open((*bench)->directory.path() / "plain.sqlite");
  if (!plain.ok()) return plain.status();
  if (absl::Status taken = TakeSlot(*(*bench)->clients[0]); !taken.ok()) return taken;
  Pairs one, many, batch, batches;
  for (int round = -1; round < options.rounds; ++round) {
    absl::StatusOr<double> peer = (*plain)->Rate(options.round_time);
    if (!peer.ok()) return peer.status();
    const auto measure = [&](int clients, int jobs, Pairs* pairs) {
      absl::StatusOr<double> ours = SubmitRate(**bench, clients, jobs, options.round_time);
      if (ours.ok() && round >= 0) pairs->Add(*ours, *peer);  // before that, both warm up
      return ours.status();
    };
    absl::Status status = measure(1, 1, &one);
    if (status.ok()) status = measure(kSubmitters, 1, &many);
    if (status.ok()) status = measure(1, kJobsInBatch, &batch);
    if (status.ok()) status = measure(kBatchSubmitters, kJobsInBatch, &batches);
    if (!status.ok()) return status;
  }
  const auto row = [](std::string name, const Pairs& pairs, const char* goal, double least) {
    return Row{std::move(name),    Median(pairs.ours), "1/s", "SQLite transactions",
               Median(pairs.peer), pairs.ratio(),      goal,  pairs.ratio() >= least};
  };
  return std::vector<Row>{
      row("jobs submitted, one client", one, "", 0),
      row(absl::StrCat("jobs submitted, ", kSubmitters, " clients"), many, ">= 0.8", 0.8),
      row(absl::StrCat("jobs submitted, ", kJobsInBatch, " a request, one client"), batch, "", 0),
      row(absl::StrCat("jobs submitted, ", kJobsInBatch, " a request, ", kBatchSubmitters, " clients"), batches, ">= 5",
          5),
  };
}

// ---- Tasks ----------------------------------------------------------------------------------------------------------

constexpr char kFunction[] = "def task(item):\n    return item\n";

using CallStream = StreamLoad<v1::CallStreamRequest, v1::CallStreamResponse>;

// The same function, called by a client.
CallStream MakeCalls(v1::Interpreters::Stub& interpreters) {
  const auto prepare = [&](grpc::ClientContext* context, grpc::CompletionQueue* queue) {
    return interpreters.PrepareAsyncCallStream(context, queue);
  };
  const auto make = [](int batch, bool first) {
    v1::CallStreamRequest request;
    if (first) request.mutable_options()->set_name("interpreters/bench");
    for (int i = 0; i < batch; ++i) {
      v1::CallStreamRequest::Item* item = request.add_calls();
      item->set_id(i + 1);
      item->mutable_call()->set_target("task");
      item->mutable_call()->add_args()->set_int_(i + 1);
    }
    return request;
  };
  const auto count = [](const v1::CallStreamResponse& response) -> absl::StatusOr<int> {
    for (const v1::CallStreamResponse::Item& item : response.results()) {
      if (item.response().result().int_() != item.id()) {
        return absl::InternalError(absl::StrCat("wrong answer in a stream: ", item.ShortDebugString()));
      }
    }
    return response.results_size();
  };
  return CallStream(prepare, make, count);
}

// Runs a job of so many tasks in one interpreter. Returns the microseconds a task, from the start of the first to the
// end of the job.
absl::StatusOr<double> TaskTime(client::Client& client, int64_t tasks) {
  v1::SubmitJobsRequest request;
  v1::JobSpec& spec = *request.add_jobs();
  spec.set_script(kFunction);
  spec.mutable_range()->set_end(tasks);
  absl::StatusOr<std::vector<v1::Job>> jobs = client.SubmitJobs(std::move(request));
  if (!jobs.ok()) return jobs.status();
  const std::string name = jobs->front().name();
  v1::Job end;
  absl::Status status = client.WatchJobs(std::vector<std::string>{name}, [&end](const v1::WatchJobsResponse& response) {
    end = response.jobs(response.jobs_size() - 1);
  });
  if (!status.ok()) return status;
  if (end.succeeded_count() != tasks)
    return absl::InternalError(absl::StrCat("the job ended as ", end.ShortDebugString()));
  const auto at = [](const google::protobuf::Timestamp& time) {
    return absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
  };
  if (absl::Status deleted = client.DeleteJob(name); !deleted.ok()) return deleted;
  return absl::ToDoubleMicroseconds(at(end.end_time()) - at(end.start_time())) / static_cast<double>(tasks);
}

absl::StatusOr<std::vector<Row>> MeasureTasks(const Options& options) {
  constexpr int kInFlight = 64;
  const int64_t tasks = options.quick ? 20'000 : 200'000;
  absl::StatusOr<std::unique_ptr<Bench>> bench = Bench::Start(1);
  if (!bench.ok()) return bench.status();
  client::Client& client = *(*bench)->clients[0];
  v1::CreateRequest create;
  create.set_interpreter_id("bench");
  create.mutable_config()->set_setup_source(kFunction);
  if (absl::Status made = client.Create(create).status(); !made.ok()) return made;
  auto interpreters = v1::Interpreters::NewStub(Connect((*bench)->daemon->address()));
  CallStream calls = MakeCalls(*interpreters);
  Pairs single, packed;
  for (int round = -1; round < options.rounds; ++round) {
    std::map<int, double> call_time;
    for (int batch : {1, 64}) {
      absl::StatusOr<double> rate = calls.Run(kInFlight, batch, options.round_time);
      if (!rate.ok()) return rate.status();
      call_time[batch] = 1e6 / *rate;
    }
    absl::StatusOr<double> ours = TaskTime(client, tasks);
    if (!ours.ok()) return ours.status();
    if (round < 0) continue;  // before that, both warm up
    single.Add(*ours, call_time[1]);
    packed.Add(*ours, call_time[64]);
  }
  const auto row = [](const Pairs& pairs, std::string peer, const char* goal, double most) {
    return Row{"time per task of a job", Median(pairs.ours), "us", std::move(peer),
               Median(pairs.peer),       pairs.ratio(),      goal, pairs.ratio() <= most};
  };
  return std::vector<Row>{row(single, "CallStream, 1 a message", "<= 1.3", 1.3),
                          row(packed, "CallStream, 64 a message", "", 0)};
}

}  // namespace

std::vector<Measurement> JobMeasurements() { return {{"job submit", MeasureSubmit}, {"job tasks", MeasureTasks}}; }

}  // namespace interpd::bench
