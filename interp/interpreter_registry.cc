#include "interp/interpreter_registry.h"

#include <map>
#include <mutex>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "channels/error.h"
#include "channels/names.h"
#include "interp/constant_books.h"
#include "interp/heartbeat.h"
#include "interp/interpreter_worker.h"
#include "interp/python_runtime.h"
#include "interp/thread_isolation.h"

namespace interpd::interp {
namespace {

// Who there is. Shared with the workers, since a stuck one may end after the registry.
struct Books {
  std::mutex mu;
  std::map<std::string, std::shared_ptr<InterpreterWorker>, std::less<>> workers;
  size_t stuck_count = 0;
  int64_t completed_by_ended = 0;
  WorkTimes times_of_ended;
  std::map<std::string, int64_t, std::less<>> last_ids;  // of fresh names, by space
  size_t max_interpreters = 0;
  bool draining = false;
  bool heartbeat_stuck = false;

  void Ended(const std::string& name, State state) {
    std::lock_guard lock(mu);
    auto found = workers.find(name);
    completed_by_ended += found->second->info().completed_count;
    times_of_ended.Add(found->second->work_times());
    if (state == State::kStuck) ++stuck_count;
    workers.erase(found);
  }

  // The heartbeat's interpreter is in no list, but as stuck as any other.
  void HeartbeatEnded(State state) {
    std::lock_guard lock(mu);
    if (state == State::kStuck) {
      heartbeat_stuck = true;
      ++stuck_count;
    } else if (std::exchange(heartbeat_stuck, false)) {
      --stuck_count;
    }
  }
};

class Registry : public InterpreterRegistry {
 public:
  Registry(HostConfig config, std::unique_ptr<HostServices> host,
           std::unique_ptr<channels::ChannelRegistry> own_channels)
      : own_channels_(std::move(own_channels)), host_(std::move(host)), constants_(MakeConstantPool(host_->constants)) {
    heartbeat_.emplace(host_.get(), [books = books_](State state) { books->HeartbeatEnded(state); });
    books_->max_interpreters = config.max_interpreters;
  }

  ~Registry() override {
    absl::Notification closed;
    CloseAll(absl::ZeroDuration(), [&closed] { closed.Notify(); });
    closed.WaitForNotification();
    if (info().stuck_count != 0) {
      host_.release();  // a thread still uses it
      constants_.release();
      return;
    }
    heartbeat_.reset();
    host_.reset();
    constants_.reset();
    PythonRuntime::Finish();
  }

  absl::StatusOr<std::shared_ptr<Interpreter>> Create(std::string_view name, InterpreterConfig config,
                                                      absl::AnyInvocable<void(absl::Status) &&> done) override {
    const std::string_view id = channels::IdOf(name);
    if (!id.empty()) {
      absl::Status named = channels::CheckName(id, "an interpreter", "interpreter_id");
      if (!named.ok()) return named;
    }
    std::shared_ptr<InterpreterWorker> worker;
    {
      std::lock_guard lock(books_->mu);
      if (books_->draining) {
        return channels::MakeError(absl::StatusCode::kUnavailable, "SERVER_DRAINING",
                                   "the daemon is shutting down and makes no more interpreters");
      }
      if (books_->workers.size() >= books_->max_interpreters) {
        return channels::MakeError(absl::StatusCode::kResourceExhausted, "TOO_MANY_INTERPRETERS",
                                   absl::StrCat("there are ", books_->workers.size(),
                                                " interpreters, as many as may be; close "
                                                "some, or raise max_interpreters"),
                                   {{"limit", absl::StrCat(books_->max_interpreters)}});
      }
      std::string chosen(name);
      if (id.empty()) {
        int64_t& last = books_->last_ids[std::string(name)];
        do {
          chosen = absl::StrCat(name, "i", ++last);
        } while (books_->workers.contains(chosen));
      }
      if (books_->workers.contains(chosen)) {
        return channels::MakeError(
            absl::StatusCode::kAlreadyExists, "INTERPRETER_EXISTS",
            absl::StrCat("there is an interpreter '", id, "' already; close it, or leave the name to the daemon"),
            {{"interpreter", id}});
      }
      auto ended = [books = books_, chosen, stuck = false](State state) mutable {
        if (!stuck) {
          books->Ended(chosen, state);
          stuck = state == State::kStuck;
        } else {
          std::lock_guard lock(books->mu);
          --books->stuck_count;
        }
      };
      worker = std::make_shared<InterpreterWorker>(
          chosen, std::move(config), host_.get(),
          InterpreterWorker::Observer{.made = std::move(done), .ended = std::move(ended)});
      books_->workers.emplace(chosen, worker);
    }
    absl::Status started = worker->Start();
    if (!started.ok()) {
      std::lock_guard lock(books_->mu);
      books_->workers.erase(worker->name());
      return channels::MakeError(absl::StatusCode::kResourceExhausted, "INTERPRETER_FAILED",
                                 absl::StrCat("the interpreter could not be started: ", started.message()),
                                 {{"interpreter", channels::IdOf(worker->name())}});
    }
    return worker;
  }

  absl::StatusOr<std::shared_ptr<Interpreter>> Get(std::string_view name) const override {
    std::lock_guard lock(books_->mu);
    auto found = books_->workers.find(name);
    if (found != books_->workers.end()) return found->second;
    return channels::MakeError(absl::StatusCode::kNotFound, "INTERPRETER_NOT_FOUND",
                               absl::StrCat("there is no interpreter '", channels::IdOf(name), "'",
                                            channels::ThereAre(books_->workers, channels::SpaceOf(name))),
                               {{"interpreter", channels::IdOf(name)}});
  }

  std::vector<std::shared_ptr<Interpreter>> List(std::string_view after, size_t limit) const override {
    std::lock_guard lock(books_->mu);
    std::vector<std::shared_ptr<Interpreter>> result;
    for (auto it = books_->workers.upper_bound(after); it != books_->workers.end() && result.size() < limit; ++it) {
      result.push_back(it->second);
    }
    return result;
  }

  HostInfo info() const override {
    std::vector<std::shared_ptr<InterpreterWorker>> workers;
    HostInfo info;
    {
      std::lock_guard lock(books_->mu);
      for (const auto& [name, worker] : books_->workers) workers.push_back(worker);
      info.stuck_count = books_->stuck_count;
      info.completed_count = books_->completed_by_ended;
    }
    info.interpreter_count = workers.size();
    info.python_version = PythonRuntime::version();
    for (const auto& worker : workers) {
      InterpreterInfo one = worker->info();
      info.pending_count += one.pending_count;
      info.completed_count += one.completed_count;
    }
    return info;
  }

  WorkTimes work_times() const override {
    std::vector<std::shared_ptr<InterpreterWorker>> workers;
    WorkTimes times;
    {
      std::lock_guard lock(books_->mu);
      for (const auto& [name, worker] : books_->workers) workers.push_back(worker);
      times = books_->times_of_ended;
    }
    for (const auto& worker : workers) times.Add(worker->work_times());
    return times;
  }

  ConstantPool& constants() override { return *constants_; }

  void SetMaxInterpreters(size_t max_interpreters) override {
    std::lock_guard lock(books_->mu);
    books_->max_interpreters = max_interpreters;
  }

  void Beat(absl::AnyInvocable<void(absl::Status) &&> done) override { heartbeat_->Beat(std::move(done)); }

  void Drain() override {
    std::lock_guard lock(books_->mu);
    books_->draining = true;
  }

  void CloseAll(absl::Duration grace, absl::AnyInvocable<void() &&> done) override {
    std::vector<std::shared_ptr<InterpreterWorker>> workers;
    {
      std::lock_guard lock(books_->mu);
      for (const auto& [name, worker] : books_->workers) workers.push_back(worker);
    }
    if (std::shared_ptr<InterpreterWorker> hidden = heartbeat_->End()) workers.push_back(std::move(hidden));
    if (workers.empty()) {
      std::move(done)();
      return;
    }
    struct Countdown {
      std::atomic<size_t> left;
      absl::AnyInvocable<void() &&> done;
    };
    auto countdown = std::make_shared<Countdown>(workers.size(), std::move(done));
    for (const auto& worker : workers) {
      worker->Close(grace, [countdown](State) {
        if (countdown->left.fetch_sub(1, std::memory_order_acq_rel) == 1) std::move(countdown->done)();
      });
    }
  }

 private:
  const std::shared_ptr<Books> books_ = std::make_shared<Books>();
  const std::unique_ptr<channels::ChannelRegistry> own_channels_;  // null: they are another's
  std::unique_ptr<HostServices> host_;
  std::unique_ptr<ConstantPool> constants_;
  std::optional<Heartbeat> heartbeat_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<InterpreterRegistry>> InterpreterRegistry::Start(HostConfig config) {
  absl::Status prepared = PrepareThreadIsolation();
  if (!prepared.ok()) return prepared;
  absl::Status started = PythonRuntime::Start();
  if (!started.ok()) return started;
  std::unique_ptr<channels::ChannelRegistry> own_channels;
  if (config.channels == nullptr) {
    own_channels = std::make_unique<channels::ChannelRegistry>();
    config.channels = own_channels.get();
  }
  auto constants = std::make_shared<ConstantBooks>(ConstantLimits{.max_bytes = config.max_constant_bytes});
  auto host = std::make_unique<HostServices>(EncodeLimits{.max_bytes = config.max_value_bytes}, config.channels,
                                             std::move(constants));
  absl::Status pumping = host->pump.Start();
  if (!pumping.ok()) return pumping;
  return std::make_unique<Registry>(config, std::move(host), std::move(own_channels));
}

}  // namespace interpd::interp
