// Interpreters.CallStream: many calls in flight on one stream, many in one message either way.
#ifndef INTERPD_DAEMON_CALL_STREAM_RPC_H_
#define INTERPD_DAEMON_CALL_STREAM_RPC_H_

#include <cstddef>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "daemon/call_work.h"
#include "daemon/queue_room.h"
#include "daemon/raw_services.h"
#include "daemon/rpc.h"
#include "interp/interpreter.h"

namespace interpd::daemon {

// A call goes through these hands: read -> (waiting_, if its interpreter's queue is full) -> in_flight_ -> answers_ ->
// written. The stream holds it from the first to the last, and reads no more while it holds kMaxHeld: a client that
// does not take its answers is not read from either.
class CallStreamRpc final : public BidiRpc<v1::CallStreamResponse>,
                            public CallWork::Owner,
                            private QueueRoom::Waiter,
                            private EventLoop::Task {
 public:
  CallStreamRpc(ServerState& state, RawInterpreters& service)
      : BidiRpc(state, RuleOf("interpd.v1.Interpreters/CallStream")), service_(service) {}

 private:
  struct Item;
  using ItemPtr = std::shared_ptr<Item>;

  ~CallStreamRpc() override;

  void Listen(void* tag) override;
  Rpc* Another() const override { return new CallStreamRpc(state_, service_); }
  void OnAccepted() override;
  void OnRead(bool ok) override;
  void OnWritten(bool ok) override;
  void OnCancelled() override { Abandon(CancelledByClient()); }
  void OnShutdown() override;

  // From an interpreter, by way of the event loop.
  void CallEnded(CallWork& work) override;
  bool SubmitMore(const interp::Interpreter& interpreter) override;

  // Takes the calls of one message. An error is the end of the whole stream.
  absl::Status Take(v1::CallStreamRequest& request);
  void Begin(const v1::CallStreamRequest::Item& request);
  absl::StatusOr<ItemPtr> Prepare(const v1::CallRequest& call);
  absl::StatusOr<std::shared_ptr<interp::Interpreter>> Find(std::string_view name);

  enum class Submitted { kInFlight, kQueueFull, kEnded };
  Submitted Submit(const ItemPtr& item);

  // The answer to `item` is known.
  void End(const ItemPtr& item, absl::Status status);

  // Interrupts and drops what is left; the stream ends with `status` once the interpreters have let go of it.
  void Abandon(absl::Status status);

  // Has Run called when the present batch of events is through, so that what it brought goes out in one message.
  void Schedule();
  void Run() override;
  void WriteAnswers();

  RawInterpreters& service_;
  bool started_ = false;   // the first message was read
  bool ordered_ = false;   // `answers_` has every call from its beginning on, else from its end on
  bool read_all_ = false;  // the client has no more calls
  bool scheduled_ = false;
  bool abandoned_ = false;
  absl::Status last_status_;  // with which the stream will end

  std::string default_name_;
  // The interpreter that was named last: a stream tends to stay with one.
  std::string last_name_;
  std::shared_ptr<interp::Interpreter> last_interpreter_;

  size_t held_ = 0;
  std::vector<ItemPtr> in_flight_;  // in no order; each knows its place
  absl::flat_hash_map<const interp::Interpreter*, std::deque<ItemPtr>> waiting_;
  std::deque<ItemPtr> answers_;
  size_t being_written_ = 0;  // answers in the message on its way
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_CALL_STREAM_RPC_H_
