// The quickstart: interpreters at work in parallel on a real corpus.
//
// Starts a daemon on a private socket and creates as many interpreters as there are cores. They tokenise every source
// file of the installed standard library (token_census.py); the files are dealt out one by one. Beside it, for
// comparison, the same work in one interpreter, and in threads of one interpreter. All three must count the same.
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/log/globals.h"
#include "absl/log/initialize.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "client/client.h"
#include "examples/daemon_process.h"
#include "examples/progress_bar.h"
#include "interpd/v1/interpreters.pb.h"

namespace interpd::examples {
namespace {

using Paths = std::vector<std::string>;

// What token_census.py returns, merged.
struct Census {
  absl::flat_hash_map<std::string, int64_t> counts;
  int64_t files = 0;
  int64_t skipped = 0;

  // Adds {"counts": {token: n}, "files": n, "skipped": n}.
  void Add(const v1::Value& answer) {
    for (int i = 0; i + 1 < answer.items_size(); i += 2) {
      const v1::Value& value = answer.items(i + 1);
      if (answer.items(i).str() == "files") files += value.int_();
      if (answer.items(i).str() == "skipped") skipped += value.int_();
      if (answer.items(i).str() != "counts") continue;
      for (int j = 0; j + 1 < value.items_size(); j += 2) counts[value.items(j).str()] += value.items(j + 1).int_();
    }
  }

  friend bool operator==(const Census&, const Census&) = default;
};

v1::Value ToValue(const Paths& paths) {
  v1::Value list;
  list.set_container(v1::LIST);
  for (const std::string& path : paths) list.add_items()->set_str(path);
  return list;
}

v1::CallRequest MakeCall(const std::string& interpreter, const std::string& function) {
  v1::CallRequest call;
  call.set_name(interpreter);
  call.set_target(absl::StrCat("token_census:", function));
  return call;
}

// An exception in the called function is an answer to the client; to this program it is a failure.
absl::StatusOr<v1::Value> Result(absl::StatusOr<v1::CallResponse> response) {
  if (!response.ok()) return response.status();
  if (response->has_exception()) return absl::InternalError(response->exception().formatted());
  return std::move(*response->mutable_result());
}

// Deals the files out to the interpreters one by one. Each has two at a time, so that none waits for the next.
class Dealer {
 public:
  Dealer(client::Client& client, const Paths& paths, ProgressBar& bar)
      : paths_(paths), bar_(bar), pipeline_(client.OpenPipeline()) {}

  absl::StatusOr<Census> Run(const std::vector<std::string>& interpreters) {
    for (int round = 0; round < 2; ++round) {
      for (const std::string& interpreter : interpreters) Deal(interpreter);
    }
    absl::MutexLock lock(mutex_);
    mutex_.Await(absl::Condition(this, &Dealer::Ended));
    if (!status_.ok()) return status_;
    return std::move(census_);
  }

 private:
  bool Ended() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return pending_ == 0 && (next_ == paths_.size() || !status_.ok());
  }

  void Deal(const std::string& interpreter) {
    v1::CallRequest call = MakeCall(interpreter, "census");
    {
      absl::MutexLock lock(mutex_);
      if (next_ == paths_.size() || !status_.ok()) return;
      *call.add_args() = ToValue({paths_[next_++]});
      ++pending_;
    }
    pipeline_->Submit(std::move(call), [this, interpreter](absl::StatusOr<v1::CallResponse> response) {
      Deal(interpreter);
      absl::MutexLock lock(mutex_);
      if (absl::StatusOr<v1::Value> result = Result(std::move(response)); result.ok()) {
        census_.Add(*result);
      } else {
        status_.Update(result.status());
      }
      --pending_;
      bar_.Show(++done_);
    });
  }

  const Paths& paths_;
  ProgressBar& bar_;
  absl::Mutex mutex_;
  size_t next_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t pending_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t done_ ABSL_GUARDED_BY(mutex_) = 0;
  Census census_ ABSL_GUARDED_BY(mutex_);
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<client::CallPipeline> pipeline_;  // the first to go: its callbacks use the rest
};

struct Run {
  std::string title;
  Census census;
  absl::Duration took;
};

absl::StatusOr<Run> RunInInterpreters(client::Client& client, const std::vector<std::string>& interpreters,
                                      const Paths& paths) {
  Run run{.title = absl::StrCat(interpreters.size(), interpreters.size() == 1 ? " interpreter" : " interpreters")};
  ProgressBar bar(run.title, paths.size());
  absl::StatusOr<Census> census = Dealer(client, paths, bar).Run(interpreters);
  if (!census.ok()) return census.status();
  run.took = bar.Finish();
  run.census = *std::move(census);
  return run;
}

// A batch of files a call: the threads deal out the files of a batch among themselves.
absl::StatusOr<Run> RunInThreads(client::Client& client, const std::string& interpreter, int threads,
                                 const Paths& paths) {
  Run run{.title = absl::StrCat(threads, " threads of 1 interpreter")};
  ProgressBar bar(run.title, paths.size());
  constexpr size_t kBatch = 64;
  for (size_t begin = 0; begin < paths.size(); begin += kBatch) {
    const size_t end = std::min(paths.size(), begin + kBatch);
    v1::CallRequest call = MakeCall(interpreter, "census_in_threads");
    *call.add_args() = ToValue(Paths(paths.begin() + begin, paths.begin() + end));
    call.add_args()->set_int_(threads);
    absl::StatusOr<v1::Value> result = Result(client.Call(call));
    if (!result.ok()) return result.status();
    run.census.Add(*result);
    bar.Show(end);
  }
  run.took = bar.Finish();
  return run;
}

// The files to count, read once so that no run pays for a cold disk.
absl::StatusOr<Paths> FindCorpus(client::Client& client, const std::string& interpreter) {
  absl::StatusOr<v1::Value> found = Result(client.Call(MakeCall(interpreter, "corpus")));
  if (!found.ok()) return found.status();
  Paths paths;
  std::vector<char> buffer(1 << 20);
  for (const v1::Value& path : found->items()) {
    paths.push_back(path.str());
    std::ifstream file(path.str(), std::ios::binary);
    while (file.read(buffer.data(), buffer.size())) {
    }
  }
  return paths;
}

void PrintTokens(const Census& census) {
  std::vector<std::pair<int64_t, std::string>> tokens;
  int64_t total = 0;
  for (const auto& [token, count] : census.counts) {
    tokens.emplace_back(count, token);
    total += count;
  }
  std::sort(tokens.rbegin(), tokens.rend());
  absl::PrintF("\n%d tokens in %d files of the standard library", total, census.files);
  if (census.skipped > 0) absl::PrintF(" (%d more are no valid Python)", census.skipped);
  absl::PrintF("; the most frequent:\n");
  for (size_t i = 0; i < std::min<size_t>(10, tokens.size()); ++i) {
    absl::PrintF("  %8d  %s\n", tokens[i].first, tokens[i].second);
  }
}

void PrintTimes(const std::vector<Run>& runs, const Run& one) {
  absl::PrintF("\n  %-28s %9s %9s\n", "", "seconds", "speed-up");
  for (const Run& run : runs) {
    absl::PrintF("  %-28s %9.2f %8.2fx\n", run.title, absl::ToDoubleSeconds(run.took),
                 absl::FDivDuration(one.took, run.took));
  }
}

void PrintByHand(int interpreters) {
  absl::PrintF(R"(
The same by hand, in this repository's directory:

  interpd()   { tools/dev bazel-bin/daemon/interpd "$@"; }
  interpctl() { tools/dev bazel-bin/client/interpctl "$@"; }
  tools/dev bazel build //daemon:interpd //client:interpctl
  export INTERPD_ADDRESS=unix:/tmp/interpd-by-hand.sock
  interpd --listen "$INTERPD_ADDRESS" &
  until interpctl info 2>/dev/null; do sleep 0.2; done
  interpctl create census --count %1$d --path "$PWD/examples"
  for i in $(seq %1$d); do interpctl call census-$i token_census:top_of_share $i %1$d & jobs[i]=$!; done
  wait "${jobs[@]}"
  interpctl list
  interpctl close --all
  interpctl drain
)",
               interpreters);
}

// The cores this process may use, not all that the machine has.
int Cores() {
  cpu_set_t cores;
  return sched_getaffinity(0, sizeof(cores), &cores) == 0 ? CPU_COUNT(&cores) : 1;
}

absl::Status RunOn(const DaemonProcess& daemon, const std::string& runfiles) {
  absl::StatusOr<std::unique_ptr<client::Client>> client =
      client::Client::Connect(daemon.address(), {.timeout = absl::Seconds(20), .wait_for_daemon = true});
  if (!client.ok()) return client.status();

  const int count = Cores();
  absl::PrintF("A daemon listens on %s; creating %d interpreters.\n\n", daemon.address(), count);
  std::fflush(stdout);
  std::vector<std::string> interpreters;
  for (int i = 1; i <= count; ++i) {
    v1::CreateRequest create;
    create.set_interpreter_id(absl::StrCat("census-", i));
    create.mutable_config()->add_path(runfiles + "/examples");
    // Imported beforehand: the runs measure the work.
    create.mutable_config()->set_setup_source("import token_census");
    absl::StatusOr<v1::Interpreter> interpreter = (*client)->Create(create);
    if (!interpreter.ok()) return interpreter.status();
    interpreters.push_back(interpreter->name());
  }

  absl::StatusOr<Paths> paths = FindCorpus(**client, interpreters[0]);
  if (!paths.ok()) return paths.status();
  std::vector<Run> runs;
  for (int number = 0; number < 3; ++number) {
    absl::StatusOr<Run> run = number == 0   ? RunInInterpreters(**client, interpreters, *paths)
                              : number == 1 ? RunInInterpreters(**client, {interpreters[0]}, *paths)
                                            : RunInThreads(**client, interpreters[0], count, *paths);
    if (!run.ok()) return run.status();
    if (number > 0 && !(run->census == runs[0].census)) {
      return absl::InternalError(absl::StrCat(run->title, " did not count what ", runs[0].title, " counted"));
    }
    runs.push_back(*std::move(run));
  }
  PrintTokens(runs[0].census);
  PrintTimes(runs, runs[1]);

  for (const std::string& name : interpreters) {
    v1::CloseRequest close;
    close.set_name(name);
    if (absl::StatusOr<v1::Interpreter> closed = (*client)->Close(close); !closed.ok()) return closed.status();
  }
  return absl::OkStatus();
}

// The program ends once: by its own work's end or by a signal. Whoever is first to say so owns the daemon from then on;
// the other one must not touch it any more.
class End {
 public:
  bool IsOurs() { return !taken_.exchange(true); }

 private:
  std::atomic<bool> taken_ = false;
};

// Holds back the signals that end a program, for threads that this one starts as well. Before the daemon is started:
// from then on there is something to take along.
sigset_t HoldBackSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return signals;
}

// A signal that ends the program takes the daemon and its directory along.
void EndOnSignals(const sigset_t& signals, DaemonProcess& daemon, End& end) {
  std::thread([signals, &daemon, &end] {
    int signal = 0;
    sigwait(&signals, &signal);
    if (!end.IsOurs()) return;  // the program ends anyhow
    daemon.Kill();
    _exit(128 + signal);
  }).detach();
}

absl::Status Quickstart(const std::string& runfiles) {
  const sigset_t signals = HoldBackSignals();
  absl::StatusOr<std::unique_ptr<DaemonProcess>> daemon = DaemonProcess::Start(runfiles + "/daemon/interpd");
  if (!daemon.ok()) return daemon.status();
  static End end;  // as the thread that uses it, it stays
  EndOnSignals(signals, **daemon, end);
  absl::Status status = RunOn(**daemon, runfiles);
  if (!end.IsOurs()) {
    while (true) pause();  // a signal was first: that the connection broke is no news, and its thread ends the process
  }
  if (status.ok()) status = (*daemon)->Stop();
  if (!status.ok()) {
    return absl::Status(status.code(), absl::StrCat(status.message(), "\nthe daemon's log:\n", (*daemon)->Log()));
  }
  PrintByHand(Cores());
  return absl::OkStatus();
}

}  // namespace
}  // namespace interpd::examples

int main() {
  absl::SetStderrThreshold(absl::LogSeverityAtLeast::kError);
  absl::InitializeLog();
  // Bazel lays the files that the program needs out beside it.
  const std::string runfiles = std::filesystem::read_symlink("/proc/self/exe").string() + ".runfiles/interpd";
  if (absl::Status status = interpd::examples::Quickstart(runfiles); !status.ok()) {
    absl::FPrintF(stderr, "\nquickstart: %s\n", status.message());
    return 1;
  }
  return 0;
}
