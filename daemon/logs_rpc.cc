#include "daemon/logs_rpc.h"

#include <utility>

#include "daemon/interpreter_proto.h"

namespace interpd::daemon {
namespace {

constexpr size_t kMaxChunkBytes = 64 << 10;  // of log in one message

bool HasEnded(interp::State state) {
  return state == interp::State::kClosed || state == interp::State::kFailed || state == interp::State::kStuck;
}

}  // namespace

// Brings "the log has grown" from an interpreter's thread into the event loop. It outlives the call when the
// interpreter is just telling it something while the call ends.
class LogsRpc::Listener final : public EventLoop::Task, public std::enable_shared_from_this<Listener> {
 public:
  Listener(EventLoop& loop, LogsRpc* rpc) : loop_(loop), rpc_(rpc) {}

  // Thread safety: any thread.
  void Notify() {
    // One notification at a time covers all that has been written before it is handled. Acquire-release: Run, which
    // clears the mark, comes after what is posted here, and then reads the log.
    if (!pending_.exchange(true, std::memory_order_acq_rel)) {
      alive_ = shared_from_this();
      loop_.Post(this);
    }
  }

  void Run() override {
    std::shared_ptr<Listener> alive = std::move(alive_);
    pending_.store(false, std::memory_order_release);  // before the log is read
    if (rpc_ != nullptr) rpc_->Advance();
  }

  // In the event loop: the call has ended.
  void Detach() { rpc_ = nullptr; }

  int64_t id = 0;

 private:
  EventLoop& loop_;
  LogsRpc* rpc_;
  std::atomic<bool> pending_{false};
  std::shared_ptr<Listener> alive_;  // while posted; its writer is who set pending_, then Run
};

LogsRpc::~LogsRpc() {
  if (listener_ == nullptr) return;
  listener_->Detach();
  interpreter_->StopListening(listener_->id);
}

void LogsRpc::Listen(void* tag) {
  service_.RequestLogs(&context_, &request_bytes_, &stream_, state_.loop.queue(), state_.loop.queue(), tag);
}

void LogsRpc::Handle(v1::LogsRequest& request) {
  absl::StatusOr<std::string> id = ParseName(principal(), request.name());
  if (!id.ok()) return Finish(id.status());
  absl::StatusOr<std::shared_ptr<interp::Interpreter>> interpreter = state_.registry.Get(*id);
  if (!interpreter.ok()) return Finish(interpreter.status());
  interpreter_ = *std::move(interpreter);
  if (request.follow()) {
    state_.open_streams.insert(this);
    auto listener = std::make_shared<Listener>(state_.loop, this);
    listener->id = interpreter_->ListenToLog([listener] { listener->Notify(); });
    listener_ = std::move(listener);
  }
  Advance();
}

void LogsRpc::OnWritten(bool ok) {
  if (!ok) End(CancelledByClient());
  Advance();
}

void LogsRpc::OnCancelled() { End(CancelledByClient()); }

void LogsRpc::OnShutdown() {
  // Every interpreter has ended, so what is left of the log goes out and the call ends by itself. If the client does
  // not read, it is cut off with the server.
  Advance();
}

void LogsRpc::End(absl::Status status) {
  if (finished() || ending_) return;
  ending_ = true;
  last_status_ = std::move(status);
  Advance();
}

void LogsRpc::Advance() {
  if (finished() || writing()) return;
  if (!ending_) {
    // Before the log: what is written between the two is then not missed.
    bool last = listener_ == nullptr || HasEnded(interpreter_->info().state);
    interp::LogChunk chunk = interpreter_->ReadLog(&cursor_, kMaxChunkBytes);
    if (!chunk.data.empty() || chunk.dropped_bytes > 0) {
      v1::LogsResponse message;
      message.mutable_output()->set_stream(EncodeStream(chunk.stream));
      message.mutable_output()->set_data(std::move(chunk.data));
      message.set_dropped_bytes(static_cast<int64_t>(chunk.dropped_bytes));
      return Write(message);
    }
    if (!last) return;
    ending_ = true;
  }
  Finish(last_status_);
}

}  // namespace interpd::daemon
