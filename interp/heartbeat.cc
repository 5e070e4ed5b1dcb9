#include "interp/heartbeat.h"

#include <utility>

namespace interpd::interp {
namespace {

// No name of a user's interpreter begins so.
constexpr char kName[] = "-heartbeat";

class Trip : public Work {
 public:
  explicit Trip(absl::AnyInvocable<void(absl::Status) &&> done)
      : Work(CallRequest{.target = "builtins:bool"}), done_(std::move(done)) {}

  bool Output(Stream, std::string_view) override { return true; }
  void Done(absl::StatusOr<Result> result) override { std::move(done_)(result.status()); }

 private:
  absl::AnyInvocable<void(absl::Status) &&> done_;
};

}  // namespace

Heartbeat::Heartbeat(HostServices* host, std::function<void(State)> ended) : host_(host), ended_(std::move(ended)) {}

void Heartbeat::Beat(absl::AnyInvocable<void(absl::Status) &&> done) {
  absl::StatusOr<std::shared_ptr<InterpreterWorker>> worker = Worker();
  if (!worker.ok()) return std::move(done)(worker.status());
  // Whether it was taken is known before `done` may have gone with it.
  auto shared = std::make_shared<absl::AnyInvocable<void(absl::Status) &&>>(std::move(done));
  absl::Status submitted = (*worker)->Submit(
      std::make_shared<Trip>([shared](absl::Status status) { std::move (*shared)(std::move(status)); }));
  if (!submitted.ok()) std::move (*shared)(std::move(submitted));
}

absl::StatusOr<std::shared_ptr<InterpreterWorker>> Heartbeat::Worker() {
  std::lock_guard lock(mu_);
  if (over_) return absl::UnavailableError("the host closes its interpreters");
  if (worker_ != nullptr) {
    // One that could not be made is made anew: it may have been for want of memory or threads.
    const State state = worker_->info().state;
    if (state != State::kFailed && state != State::kClosed) return worker_;
    worker_.reset();
  }
  auto worker = std::make_shared<InterpreterWorker>(
      kName, InterpreterConfig{.queue_limit = 4, .log_limit_bytes = 4096}, host_,
      InterpreterWorker::Observer{.made = [](absl::Status) {},
                                  .ended = [ended = ended_](State state) { ended(state); }});
  absl::Status started = worker->Start();
  if (!started.ok()) return started;
  worker_ = worker;
  return worker;
}

std::shared_ptr<InterpreterWorker> Heartbeat::End() {
  std::lock_guard lock(mu_);
  over_ = true;
  return worker_;
}

}  // namespace interpd::interp
