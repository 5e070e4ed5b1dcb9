#include "daemon/jobs/job_worker.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <utility>

#include "absl/log/check.h"
#include "absl/strings/str_cat.h"
#include "channels/error.h"
#include "daemon/exception_proto.h"
#include "daemon/jobs/job_task_source.h"

namespace interpd::daemon {
namespace {

// Tasks in flight should take about so long together: enough that the interpreter does not wait for the journal, and
// little enough that the slot can be given to another job soon.
constexpr absl::Duration kWindowTime = absl::Milliseconds(20);
constexpr size_t kMaxWindow = 512;
static_assert(kMaxWindow + 3 <= 1024, "the interpreter's queue must hold them, with the set-up");

constexpr size_t kMaxLoadOutputBytes = 16 << 10;

// Defines the module _interpd_job, and leaves nothing else in __main__.
std::string SetUpSource() {
  return absl::StrCat(
      "def _set_up():\n"
      "    import sys, types\n"
      "    module = sys.modules['_interpd_job'] = types.ModuleType('_interpd_job')\n"
      "    exec(compile(r'''",
      kJobTaskSource, "''', '<interpd>', 'exec'), module.__dict__)\n_set_up()\ndel _set_up\n");
}

channels::Value BeginArgs(const JobContext& context) {
  channels::ValueBuilder builder;
  builder.Begin(channels::Kind::kTuple, 5);
  builder.Str(context.name);
  builder.Str(context.uid);
  builder.Int(context.task_count);
  builder.Append(context.after);
  builder.Bool(context.has_inputs);
  return std::move(builder).Finish();
}

}  // namespace

// One step of the set-up. The first that fails, or the last, says how it went.
class JobWorker::SetUpWork final : public interp::Work {
 public:
  struct Shared {
    std::mutex mutex;
    std::string output;
    std::atomic<bool> reported{false};
    std::atomic<bool> closed{false};
  };

  template <typename Request>
  SetUpWork(Request request, std::shared_ptr<JobWorker> worker, std::shared_ptr<Shared> shared, bool last)
      : Work(std::move(request)), worker_(std::move(worker)), shared_(std::move(shared)), last_(last) {}

  bool Output(interp::Stream, std::string_view data) override {
    std::lock_guard lock(shared_->mutex);
    shared_->output.append(data.substr(0, kMaxLoadOutputBytes - shared_->output.size()));
    return true;
  }

  void Done(absl::StatusOr<interp::Result> result) override {
    // Dropped with an interpreter that could not be made, which tells why itself; or that somebody else has closed.
    const bool dropped = !result.ok() && channels::GetErrorInfo(result.status()).reason == "INTERPRETER_CLOSING";
    if (dropped && !shared_->closed.exchange(true)) {
      worker_->interpreter_->Close(absl::ZeroDuration(), [worker = worker_](interp::State) {
        LoadFailure failure;
        failure.error.set_message("its interpreter was closed");
        worker->inbox_.Submit([worker, failure = std::move(failure)]() mutable { worker->SetUp(std::move(failure)); });
      });
    }
    if (dropped) return;
    std::optional<LoadFailure> failure = FailureOf(std::move(result));
    if ((!failure && !last_) || shared_->reported.exchange(true)) return;
    worker_->inbox_.Submit(
        [worker = worker_, failure = std::move(failure)]() mutable { worker->SetUp(std::move(failure)); });
  }

 private:
  std::optional<LoadFailure> FailureOf(absl::StatusOr<interp::Result> result) {
    LoadFailure failure;
    if (!result.ok()) {
      failure.error.set_message(std::string(result.status().message()));
      return failure;
    }
    std::unique_ptr<interp::ExceptionInfo> exception;
    if (interp::ExecResult* exec = std::get_if<interp::ExecResult>(&result->value)) {
      exception = std::move(exec->exception);
      if (!exception && exec->exit_code == 0) return std::nullopt;
      failure.error.set_message("the script could not be loaded");
      if (!exception) failure.error.set_message(absl::StrCat("the script exited with code ", exec->exit_code));
    } else {
      exception = std::move(std::get<interp::CallResult>(result->value).exception);
      if (!exception) return std::nullopt;
      failure.error.set_message(exception->message);
    }
    if (exception) EncodeException(*exception, failure.error.mutable_exception());
    std::lock_guard lock(shared_->mutex);
    if (!shared_->output.empty()) {
      failure.error.set_message(absl::StrCat(failure.error.message(), "; it wrote:\n", shared_->output));
    }
    return failure;
  }

  const std::shared_ptr<JobWorker> worker_;
  const std::shared_ptr<Shared> shared_;
  const bool last_;
};

JobWorker::JobWorker(std::shared_ptr<const JobContext> context, int64_t number, interp::InterpreterRegistry& registry,
                     Inbox& inbox, ChannelNames& names, const Events& events)
    : context_(std::move(context)),
      number_(number),
      registry_(registry),
      inbox_(inbox),
      names_(names),
      events_(events) {}

void JobWorker::Start() {
  start_time_ = absl::Now();
  interp::InterpreterConfig config = context_->config;
  config.setup_source = SetUpSource();
  // Its failure fails what is queued behind it as well, and is told from there.
  absl::StatusOr<std::shared_ptr<interp::Interpreter>> made =
      registry_.Create(absl::StrCat(context_->space, "job-", context_->id, "-", number_), std::move(config),
                       [self = shared_from_this()](absl::Status status) {
                         if (status.ok()) return;
                         self->inbox_.Submit([self, status = std::move(status)] {
                           // No memory, or no thread: that may change.
                           LoadFailure failure{.is_scripts_fault = !absl::IsResourceExhausted(status)};
                           failure.error.set_message(std::string(status.message()));
                           self->SetUp(std::move(failure));
                         });
                       });
  if (!made.ok()) {
    LoadFailure failure{.is_scripts_fault = false};
    failure.error.set_message(std::string(made.status().message()));
    closing_ = true;
    inbox_.Submit([self = shared_from_this(), failure = std::move(failure)]() mutable {
      self->SetUp(std::move(failure));
      self->Gone();
    });
    return;
  }
  interpreter_ = *std::move(made);
  auto shared = std::make_shared<SetUpWork::Shared>();
  const bool with_inputs = context_->has_inputs;
  Submit(std::make_shared<SetUpWork>(interp::CallRequest{.target = "_interpd_job:begin", .args = BeginArgs(*context_)},
                                     shared_from_this(), shared, !with_inputs));
  if (!with_inputs) return;
  Submit(std::make_shared<SetUpWork>(
      interp::ExecRequest{.source = context_->script, .filename = context_->script_name, .args = context_->args},
      shared_from_this(), shared, false));
  Submit(std::make_shared<SetUpWork>(interp::CallRequest{.target = "_interpd_job:find_function"}, shared_from_this(),
                                     shared, true));
}

void JobWorker::SetUp(std::optional<LoadFailure> failure) {
  if (std::exchange(reported_, true)) return;
  ready_ = !failure && !closing_;
  ready_time_ = absl::Now();
  events_.on_ready(*this, std::move(failure));
}

void JobWorker::Submit(std::shared_ptr<interp::Work> work) {
  absl::Status submitted = interpreter_->Submit(work);
  // It has been closed from outside, or could not be made: the work ends here and now.
  if (!submitted.ok()) work->Done(submitted);
}

void JobWorker::Begin(const TaskRecord& task, const channels::Value& item) {
  CHECK(ready_ && !closing_);
  const TaskWork::Options options = {
      .log_limit_bytes = context_->log_limit_bytes, .max_result_bytes = context_->max_result_bytes, .names = names_};
  channels::ValueBuilder args;
  args.Begin(channels::Kind::kTuple, context_->has_inputs ? 3 : 2);
  args.Int(task.index);
  args.Int(task.attempt);
  std::shared_ptr<TaskWork> work;
  if (context_->has_inputs) {
    args.Append(item);
    work = std::make_shared<TaskWork>(
        interp::CallRequest{.target = "_interpd_job:run", .args = std::move(args).Finish()}, task, inbox_, options);
  } else {
    work = std::make_shared<TaskWork>(
        interp::ExecRequest{.source = context_->script, .filename = context_->script_name, .args = context_->args},
        task, inbox_, options);
  }
  work->worker = shared_from_this();
  if (in_flight_.empty()) head_since_ = absl::Now();
  in_flight_.push_back(work);
  ++begun_count_;
  if (context_->has_inputs) return Submit(std::move(work));
  class Prepare final : public interp::Work {
   public:
    using Work::Work;
    bool Output(interp::Stream, std::string_view) override { return true; }
    void Done(absl::StatusOr<interp::Result>) override {}
  };
  Submit(std::make_shared<Prepare>(
      interp::CallRequest{.target = "_interpd_job:prepare", .args = std::move(args).Finish()}));
  Submit(work);
  Submit(std::make_shared<ResultWork>(work));
}

void JobWorker::Ended(const TaskWork& work, absl::Time now) {
  auto found = std::find_if(in_flight_.begin(), in_flight_.end(), [&](const auto& one) { return one.get() == &work; });
  CHECK(found != in_flight_.end());
  // What ended otherwise than by a result has told no time of its own.
  absl::Duration since_head;
  if (found == in_flight_.begin()) {
    since_head = now - head_since_;
    head_since_ = now;
    give_up_at = absl::InfiniteFuture();
  }
  in_flight_.erase(found);
  if (in_flight_.empty()) alone = false;
  // The average follows a change within some eight tasks.
  const absl::Duration took = work.run_time() > absl::ZeroDuration() ? work.run_time() : since_head;
  if (took > absl::ZeroDuration()) {
    average_ = average_ == absl::InfiniteDuration() ? took : average_ + (took - average_) / 8;
  }
}

size_t JobWorker::window() const {
  if (!context_->has_inputs || average_ == absl::InfiniteDuration()) return 1;
  const double tasks = absl::FDivDuration(kWindowTime, std::max(average_, absl::Microseconds(1)));
  // Twice as many as before at most: the first were perhaps the short ones.
  const size_t grown = static_cast<size_t>(2 * begun_count_);
  return std::clamp<size_t>(static_cast<size_t>(std::min(tasks, 1e6)), 1,
                            std::min(kMaxWindow, std::max<size_t>(grown, 1)));
}

void JobWorker::Cancel(const std::shared_ptr<TaskWork>& work) { interpreter_->Cancel(work); }

void JobWorker::Close(absl::Duration grace) {
  closing_ = true;
  if (interpreter_ == nullptr || gone_) return;
  interpreter_->Close(grace,
                      [self = shared_from_this()](interp::State) { self->inbox_.Submit([self] { self->Gone(); }); });
}

void JobWorker::Gone() {
  if (std::exchange(gone_, true)) return;
  events_.on_gone(*this);
}

}  // namespace interpd::daemon
