#include "daemon/call_stream_rpc.h"

#include <algorithm>
#include <utility>

#include "channels/error.h"
#include "daemon/interpreter_proto.h"

namespace interpd::daemon {
namespace {

// Calls that a stream holds before it stops reading; as many as an interpreter's queue holds by default.
constexpr size_t kMaxHeld = 1024;

// A message of answers is full at either of these.
constexpr size_t kMaxAnswers = 1024;
constexpr size_t kMaxAnswerBytes = 1 << 20;

// What the stream's message adds to a single answer, at most: a large answer must still fit the client's limit.
constexpr int64_t kEnvelopeBytes = 64;

bool HasReason(const absl::Status& status, v1::ErrorReason reason) {
  return channels::GetErrorInfo(status).reason == v1::ErrorReason_Name(reason);
}

}  // namespace

struct CallStreamRpc::Item final : CallWork {
  using CallWork::CallWork;

  int64_t id = 0;
  std::shared_ptr<interp::Interpreter> interpreter;  // until it has ended
  size_t place = 0;                                  // in in_flight_
  bool ended = false;
  absl::Status error;  // once ended
};

CallStreamRpc::~CallStreamRpc() { state_.queue_room.Forget(this); }

void CallStreamRpc::Listen(void* tag) {
  service_.RequestCallStream(&context_, &stream_, state_.loop.queue(), state_.loop.queue(), tag);
}

void CallStreamRpc::OnAccepted() {
  if (state_.draining) return Finish(ServerDraining());
  state_.open_streams.insert(this);
  Read();
}

void CallStreamRpc::OnRead(bool ok) {
  if (finished() || abandoned_) return;
  if (!ok) {
    read_all_ = true;
  } else {
    v1::CallStreamRequest request;
    absl::Status taken = Parse(request_bytes_, &request);
    if (taken.ok()) taken = Take(request);
    if (!taken.ok()) Abandon(taken);
  }
  Schedule();
}

absl::Status CallStreamRpc::Take(v1::CallStreamRequest& request) {
  if (request.has_options()) {
    if (started_) return InvalidField("options", "may be set in the first message only");
    if (!request.options().name().empty()) {
      absl::StatusOr<std::string> id = ParseName(principal(), request.options().name(), "options.name");
      if (!id.ok()) return id.status();
    }
    default_name_ = request.options().name();
    ordered_ = request.options().ordered();
  }
  started_ = true;
  for (const v1::CallStreamRequest::Item& item : request.calls()) Begin(item);
  return absl::OkStatus();
}

void CallStreamRpc::Begin(const v1::CallStreamRequest::Item& request) {
  ++held_;
  absl::StatusOr<ItemPtr> prepared = Prepare(request.call());
  absl::Status refused = prepared.status();
  ItemPtr item = refused.ok() ? *std::move(prepared)
                              : std::make_shared<Item>(interp::CallRequest(), state_.loop, channel_names(), this, 0);
  item->id = request.id();
  if (ordered_) answers_.push_back(item);
  if (!refused.ok()) return End(item, std::move(refused));
  // Behind those that wait for the same interpreter.
  auto waiting = waiting_.find(item->interpreter.get());
  if (waiting != waiting_.end()) {
    waiting->second.push_back(std::move(item));
  } else if (Submit(item) == Submitted::kQueueFull) {
    auto [queue, first] = waiting_.try_emplace(item->interpreter.get());
    if (first) state_.queue_room.Wait(*item->interpreter, this);
    queue->second.push_back(item);
  }
}

absl::StatusOr<CallStreamRpc::ItemPtr> CallStreamRpc::Prepare(const v1::CallRequest& call) {
  if (state_.draining) return ServerDraining();
  absl::StatusOr<std::shared_ptr<interp::Interpreter>> interpreter =
      Find(call.name().empty() ? default_name_ : call.name());
  if (!interpreter.ok()) return std::move(interpreter).status();
  absl::StatusOr<interp::CallRequest> request = DecodeCall(call, channel_names());
  if (!request.ok()) return std::move(request).status();
  auto item = std::make_shared<Item>(*std::move(request), state_.loop, channel_names(), this,
                                     max_message_bytes() - kEnvelopeBytes);
  item->interpreter = *std::move(interpreter);
  return item;
}

absl::StatusOr<std::shared_ptr<interp::Interpreter>> CallStreamRpc::Find(std::string_view name) {
  if (last_interpreter_ != nullptr && name == last_name_) return last_interpreter_;
  Touches(name);
  absl::StatusOr<std::string> id = ParseName(principal(), name);
  if (!id.ok()) return id.status();
  absl::StatusOr<std::shared_ptr<interp::Interpreter>> found = state_.registry.Get(*id);
  if (found.ok()) {
    last_name_ = name;
    last_interpreter_ = *found;
  }
  return found;
}

CallStreamRpc::Submitted CallStreamRpc::Submit(const ItemPtr& item) {
  absl::Status status = item->interpreter->Submit(item);
  if (!status.ok() && item->interpreter == last_interpreter_ && !waiting_.contains(last_interpreter_.get()) &&
      HasReason(status, v1::INTERPRETER_CLOSING)) {
    // The name may belong to a younger interpreter by now. What has waited for the old one ends with it.
    last_interpreter_.reset();
    absl::StatusOr<std::shared_ptr<interp::Interpreter>> again = Find(last_name_);
    if (again.ok() && *again != item->interpreter) {
      item->interpreter = *std::move(again);
      status = item->interpreter->Submit(item);
    }
  }
  if (status.ok()) {
    item->place = in_flight_.size();
    in_flight_.push_back(item);
    Ref();  // until CallEnded
    return Submitted::kInFlight;
  }
  if (HasReason(status, v1::QUEUE_FULL)) return Submitted::kQueueFull;
  End(item, std::move(status));
  return Submitted::kEnded;
}

bool CallStreamRpc::SubmitMore(const interp::Interpreter& interpreter) {
  auto waiting = waiting_.find(&interpreter);
  if (waiting == waiting_.end()) return false;
  std::deque<ItemPtr>& queue = waiting->second;
  while (!queue.empty()) {
    if (Submit(queue.front()) == Submitted::kQueueFull) return true;
    queue.pop_front();
  }
  waiting_.erase(waiting);
  return false;
}

void CallStreamRpc::CallEnded(CallWork& work) {
  Item& item = static_cast<Item&>(work);
  ItemPtr self = std::move(in_flight_[item.place]);
  if (item.place + 1 != in_flight_.size()) {
    in_flight_[item.place] = std::move(in_flight_.back());
    in_flight_[item.place]->place = item.place;
  }
  in_flight_.pop_back();
  // Kept until the queue room has used it as a key.
  std::shared_ptr<interp::Interpreter> interpreter = item.interpreter;
  End(self, work.status());
  state_.queue_room.WorkEnded(*interpreter);
  Unref();
}

void CallStreamRpc::End(const ItemPtr& item, absl::Status status) {
  item->ended = true;
  item->error = std::move(status);
  item->interpreter.reset();
  if (!ordered_ && !abandoned_) answers_.push_back(item);
  Schedule();
}

void CallStreamRpc::OnWritten(bool ok) {
  held_ -= being_written_;
  being_written_ = 0;
  if (!ok) Abandon(CancelledByClient());
  Schedule();
}

void CallStreamRpc::OnShutdown() {
  // What has ended is still delivered.
  read_all_ = true;
  last_status_ = ServerDraining();
  Schedule();
}

void CallStreamRpc::Abandon(absl::Status status) {
  if (finished() || abandoned_) return;
  abandoned_ = true;
  last_status_ = std::move(status);
  state_.queue_room.Forget(this);
  waiting_.clear();
  answers_.clear();
  for (const ItemPtr& item : in_flight_) item->interpreter->Cancel(item);
  Schedule();
}

void CallStreamRpc::Schedule() {
  if (scheduled_) return;
  scheduled_ = true;
  Ref();  // until Run
  state_.loop.Defer(this);
}

void CallStreamRpc::Run() {
  scheduled_ = false;
  if (!finished() && !writing()) {
    if (!abandoned_) WriteAnswers();
    if (abandoned_ ? in_flight_.empty() : read_all_ && held_ == 0) Finish(last_status_);
  }
  if (!finished() && !abandoned_ && !read_all_ && !reading() && held_ < kMaxHeld) Read();
  Unref();
}

void CallStreamRpc::WriteAnswers() {
  v1::CallStreamResponse message;
  size_t bytes = 0;
  const size_t most = std::min(kMaxAnswerBytes, static_cast<size_t>(max_message_bytes()));
  while (!answers_.empty() && answers_.front()->ended) {
    Item& item = *answers_.front();
    size_t size = kEnvelopeBytes + (item.error.ok() ? item.response_bytes() : item.error.message().size());
    if (being_written_ > 0 && (being_written_ == kMaxAnswers || bytes + size > most)) break;
    bytes += size;
    ++being_written_;
    v1::CallStreamResponse::Item* answer = message.add_results();
    answer->set_id(item.id);
    if (item.error.ok()) {
      answer->mutable_response()->Swap(&item.response());
    } else {
      *answer->mutable_error() = ToCallError(item.error);
    }
    answers_.pop_front();
  }
  if (being_written_ > 0) Write(message);
}

}  // namespace interpd::daemon
