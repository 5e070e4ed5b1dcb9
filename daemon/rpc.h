// Rpc and its templates: one call each, from waiting for a client to its last event.
//
// Who includes this: every RPC of the daemon, by deriving from UnaryRpc, ClientStreamRpc, ServerStreamRpc or BidiRpc.
//
// Life of an Rpc: it is made with `new`, Start() hands it to gRPC to wait for a call of its method; once there is one,
// it starts another of its kind and handles its own; it ends the call exactly once; it deletes itself when gRPC has
// given back every operation and nobody else keeps it (Ref). Handlers run in the event loop and must not block.
//
// Messages come and go as bytes, parsed and serialised here: so a malformed request and an answer over the size limit
// get an error of ours with a reason.
//
// What a call may is asked when it comes, and again for all open ones when the rules have changed or its token has
// expired: it is then revoked. A revoked call is ended as one that its client has cancelled, and the client, which has
// not, is told why.
#ifndef INTERPD_DAEMON_RPC_H_
#define INTERPD_DAEMON_RPC_H_

#include <google/protobuf/message.h>
#include <grpcpp/alarm.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/async_stream.h>
#include <grpcpp/support/async_unary_call.h>
#include <grpcpp/support/byte_buffer.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/log/check.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "daemon/access_rules.h"
#include "daemon/audit_line.h"
#include "daemon/errors.h"
#include "daemon/event_loop.h"
#include "daemon/principal.h"
#include "daemon/request_id.h"
#include "daemon/rpc_status.h"
#include "daemon/server_state.h"

namespace interpd::daemon {

class Rpc : private HasRequestId {
 public:
  Rpc(const Rpc&) = delete;
  Rpc& operator=(const Rpc&) = delete;

  // Waits for a call. Call it once, in the event loop.
  void Start();

  // In the event loop, after a change of who may do what: revokes the calls that may not be any longer.
  static void CheckAccessOfAll(ServerState& state);
  // In the event loop: the same for calls whose credentials have expired.
  static void CheckExpired(ServerState& state);

  // The server is about to end, and no interpreter has work any more: ends a call that is still open.
  virtual void OnShutdown() {}

 protected:
  // An operation that gRPC has in hand. Keeps the Rpc alive until it is completed.
  class Operation final : public EventLoop::Tag {
   public:
    Operation(Rpc* rpc, void (Rpc::*completed)(bool ok)) : rpc_(rpc), completed_(completed) {}

    // The tag to give to gRPC.
    void* Begin() {
      rpc_->Ref();
      return static_cast<EventLoop::Tag*>(this);
    }

    void Complete(bool ok) override {
      Rpc* rpc = rpc_;
      RequestScope scope(rpc);
      (rpc->*completed_)(ok);
      rpc->Unref();
    }

   private:
    Rpc* rpc_;
    void (Rpc::*completed_)(bool ok);
  };

  // `rule`: RuleOf the method.
  Rpc(ServerState& state, const AccessRule& rule) : state_(state), rule_(rule) {}
  virtual ~Rpc();

  // Asks gRPC for a call of this method, with `tag`.
  virtual void Listen(void* tag) = 0;
  // A new one of the same kind.
  virtual Rpc* Another() const = 0;
  // There is a call.
  virtual void OnAccepted() = 0;
  // There is a call, and it may not be: ends it.
  virtual void Refuse(const absl::Status& status) = 0;
  // The client has cancelled or died, or its deadline has passed, or the call is revoked, and it has not been ended:
  // end it soon.
  virtual void OnCancelled() {}
  // What was begun on a stream is done; not ok: the stream is broken or, for a read, at its end.
  virtual void OnRead(bool /*ok*/) {}
  virtual void OnWritten(bool /*ok*/) {}

  // Whoever keeps the Rpc alive beside gRPC, such as work that an interpreter has in hand.
  void Ref() { ++references_; }
  void Unref() {
    if (--references_ == 0) delete this;
  }

  // Marks the call as ended and gives the tag for the operation that ends it. Requires: not called before.
  void* BeginFinish() {
    CHECK(!finished_) << "an RPC was ended twice";
    finished_ = true;
    Leave();
    if (patience_ != nullptr) patience_->Cancel();
    return finish_.Begin();
  }
  // Counts how the call has ended, and says so in the audit log. Call it before BeginFinish.
  void Ended(const absl::Status& status) {
    state_.rpc_counters.Ended(rule_, status.raw_code(), absl::Now() - accepted_time_);
    if (state_.options.audit != nullptr) Audit(status);
  }
  bool finished() const { return finished_; }
  // Why the call may not be any longer; OK: it may. Then it ends with that, whatever it would have ended with.
  const absl::Status& revoked() const { return revoked_; }
  const absl::Status& Verdict(const absl::Status& status) const { return revoked_.ok() ? status : revoked_; }
  // On whose behalf the call is. Requires: it was accepted.
  const Principal& principal() const { return *principal_; }
  // Channels by the names that it uses. Any thread may use what is returned, until the server ends.
  ChannelNames& channel_names() { return state_.NamesOf(*principal_); }
  const AccessRule& rule() const { return rule_; }
  // Of a request or an answer.
  int64_t max_message_bytes() const {
    const int64_t own = principal_ == nullptr ? 0 : principal_->limits.max_message_bytes;
    return own == 0 ? state_.options.max_message_bytes : std::min(own, state_.options.max_message_bytes);
  }
  // Of a message of a stream. Pieces that a stream is cut into may be larger than a small limit of messages.
  int64_t max_piece_bytes() const { return std::max(state_.options.max_message_bytes, kLeastPieceBytes); }
  // Revoked, too.
  bool cancelled() const { return cancelled_; }

  // For the audit log: the call is about what has that name.
  void Touches(std::string_view name);
  // For the audit log: what a call that has named nothing was answered.
  void TouchesAnswered(const google::protobuf::Message& answer);

  // The client's `x-request-id`, if it has sent one that can be logged, or one of our own.
  std::string request_id() const final;

  // Reads a request and lets its bytes go. Errors: MESSAGE_TOO_LARGE; INVALID_FIELD, for bytes that are no such
  // message or that nest too deeply; RATE_LIMITED, not for a call's first message.
  absl::Status Parse(grpc::ByteBuffer& bytes, google::protobuf::Message* message);

  ServerState& state_;
  grpc::ServerContext context_;

 private:
  static constexpr int64_t kLeastPieceBytes = int64_t{4} << 20;

  void Accepted(bool ok);
  // None: it is nobody's. Finds out until when, too.
  PrincipalRef FindPrincipal();
  void Done(bool ok);
  void Finished(bool) {}

  // Why it may not be: it is nobody's, not its principal's to call, or over a limit.
  absl::Status Admit();
  // Likewise, but for the limits.
  absl::Status Permit(const Principal* principal) const;
  // Counts one request more. Errors: RATE_LIMITED.
  absl::Status Charge();
  // Revokes the call if it may not be any longer.
  void CheckAccess();
  void Revoke(absl::Status why);
  // A revoked call has not ended, since its client does not read.
  void PatienceOver(bool ok);
  void SetExpiry(absl::Time when);
  // It is no longer in flight.
  void Leave() {
    if (std::exchange(in_flight_, false)) --account_->in_flight;
    SetExpiry(absl::InfiniteFuture());
  }
  void Audit(const absl::Status& status);
  AuditEvent Event() const;

  const AccessRule& rule_;
  PrincipalRef principal_;
  absl::Time expires_ = absl::InfiniteFuture();  // what says on whose behalf it is, while it is in flight
  absl::Status revoked_;
  std::unique_ptr<grpc::Alarm> patience_;  // once revoked
  mutable std::string request_id_;         // empty: nobody has asked
  Account* account_ = nullptr;             // of a principal with limits
  absl::Time accepted_time_;
  // Only if there is an audit log: the first names, and how often others were said.
  std::vector<std::string> resources_;
  int64_t more_resources_ = 0;
  int references_ = 0;
  bool accepted_ = false;
  bool finished_ = false;
  bool cancelled_ = false;
  bool in_flight_ = false;  // counted in the account
  bool refused_ = false;    // by Admit
  bool parsed_any_ = false;
  // In the list of open calls.
  Rpc* older_ = nullptr;
  Rpc* newer_ = nullptr;
  Operation accept_{this, &Rpc::Accepted};
  Operation done_{this, &Rpc::Done};
  Operation finish_{this, &Rpc::Finished};
  Operation patience_over_{this, &Rpc::PatienceOver};
};

// None: the message has 2 GiB or more.
std::optional<grpc::ByteBuffer> Serialize(const google::protobuf::Message& message);

// One request, one answer.
template <typename Request, typename Response>
class UnaryRpc : public Rpc {
 protected:
  using Responder = grpc::ServerAsyncResponseWriter<grpc::ByteBuffer>;
  using Rpc::Rpc;

  // Leads, now or later, to one Reply or Fail.
  virtual void Handle(Request& request) = 0;

  void Reply(const Response& response) {
    if (!revoked().ok()) return Fail(revoked());
    int64_t bytes = static_cast<int64_t>(response.ByteSizeLong());
    std::optional<grpc::ByteBuffer> serialized;
    if (bytes <= max_message_bytes()) serialized = Serialize(response);
    if (!serialized) return Fail(MessageTooLarge("the answer", bytes, max_message_bytes()));
    TouchesAnswered(response);
    Ended(absl::OkStatus());
    responder_.Finish(*serialized, grpc::Status::OK, BeginFinish());
  }

  void Fail(const absl::Status& status) {
    Ended(Verdict(status));
    responder_.FinishWithError(ToGrpcStatus(Verdict(status)), BeginFinish());
  }

  grpc::ByteBuffer request_bytes_;
  Responder responder_{&context_};

 private:
  void Refuse(const absl::Status& status) final { Fail(status); }
  void OnAccepted() override {
    Request request;
    absl::Status parsed = Parse(request_bytes_, &request);
    if (!parsed.ok()) return Fail(parsed);
    Handle(request);
  }
};

// Many requests, one answer. OnRead(true) has the next one's bytes in `request_bytes_`.
template <typename Response>
class ClientStreamRpc : public Rpc {
 protected:
  using Rpc::Rpc;

  bool reading() const { return reading_; }

  // Requires: not reading, not finished.
  void Read() {
    CHECK(!reading_ && !finished());
    reading_ = true;
    stream_.Read(&request_bytes_, read_.Begin());
  }

  // Lead to the end, as for UnaryRpc.
  void Reply(const Response& response) {
    if (!revoked().ok()) return Fail(revoked());
    std::optional<grpc::ByteBuffer> serialized = Serialize(response);
    if (!serialized || static_cast<int64_t>(serialized->Length()) > max_piece_bytes()) {
      return Fail(MessageTooLarge("the answer", static_cast<int64_t>(response.ByteSizeLong()), max_piece_bytes()));
    }
    Ended(absl::OkStatus());
    stream_.Finish(*serialized, grpc::Status::OK, BeginFinish());
  }
  void Fail(const absl::Status& status) {
    Ended(Verdict(status));
    stream_.FinishWithError(ToGrpcStatus(Verdict(status)), BeginFinish());
  }

  grpc::ByteBuffer request_bytes_;
  grpc::ServerAsyncReader<grpc::ByteBuffer, grpc::ByteBuffer> stream_{&context_};

 private:
  void Refuse(const absl::Status& status) final { Fail(status); }
  void ReadDone(bool ok) {
    reading_ = false;
    OnRead(ok);
  }

  bool reading_ = false;
  Operation read_{this, static_cast<void (Rpc::*)(bool)>(&ClientStreamRpc::ReadDone)};
};

// What both kinds of call that answer with a stream share: answers go out one at a time.
template <typename Stream, typename Response>
class StreamingRpc : public Rpc {
 protected:
  using Rpc::Rpc;

  bool writing() const { return writing_; }

  // Require: not writing, not finished. A message over the limit ends the call instead.
  void Write(const Response& response) {
    CHECK(!writing_ && !finished());
    std::optional<grpc::ByteBuffer> serialized = Fitting(response);
    if (!serialized) return Finish(TooLarge(response));
    writing_ = true;
    stream_.Write(*serialized, write_.Begin());
  }
  void WriteLast(const Response& response) {
    CHECK(!writing_);
    if (!revoked().ok()) return Finish(revoked());
    std::optional<grpc::ByteBuffer> serialized = Fitting(response);
    if (!serialized) return Finish(TooLarge(response));
    Ended(absl::OkStatus());
    stream_.WriteAndFinish(*serialized, grpc::WriteOptions(), grpc::Status::OK, BeginFinish());
  }
  void Finish(const absl::Status& status) {
    CHECK(!writing_);
    Ended(Verdict(status));
    stream_.Finish(ToGrpcStatus(Verdict(status)), BeginFinish());
  }

  Stream stream_{&context_};

 private:
  // Looked at once it is serialised: to know the size before would take as long again.
  std::optional<grpc::ByteBuffer> Fitting(const Response& response) const {
    std::optional<grpc::ByteBuffer> bytes = Serialize(response);
    if (bytes && static_cast<int64_t>(bytes->Length()) > max_piece_bytes()) bytes.reset();
    return bytes;
  }
  absl::Status TooLarge(const Response& response) const {
    return MessageTooLarge("the answer", static_cast<int64_t>(response.ByteSizeLong()), max_piece_bytes());
  }

  void Refuse(const absl::Status& status) final { Finish(status); }
  void Written(bool ok) {
    writing_ = false;
    OnWritten(ok);
  }

  bool writing_ = false;
  Operation write_{this, static_cast<void (Rpc::*)(bool)>(&StreamingRpc::Written)};
};

// One request, many answers.
template <typename Request, typename Response>
class ServerStreamRpc : public StreamingRpc<grpc::ServerAsyncWriter<grpc::ByteBuffer>, Response> {
 protected:
  using Base = StreamingRpc<grpc::ServerAsyncWriter<grpc::ByteBuffer>, Response>;
  using Base::Base;

  // Leads to writes and in the end to one WriteLast or Finish.
  virtual void Handle(Request& request) = 0;

  grpc::ByteBuffer request_bytes_;

 private:
  void OnAccepted() override {
    Request request;
    absl::Status parsed = this->Parse(request_bytes_, &request);
    if (!parsed.ok()) return this->Finish(parsed);
    Handle(request);
  }
};

// Many requests, many answers. OnRead(true) has the next one's bytes in `request_bytes_`.
template <typename Response>
class BidiRpc : public StreamingRpc<grpc::ServerAsyncReaderWriter<grpc::ByteBuffer, grpc::ByteBuffer>, Response> {
 protected:
  using Base = StreamingRpc<grpc::ServerAsyncReaderWriter<grpc::ByteBuffer, grpc::ByteBuffer>, Response>;
  using Base::Base;

  bool reading() const { return reading_; }

  // Requires: not reading, not finished.
  void Read() {
    CHECK(!reading_);
    reading_ = true;
    this->stream_.Read(&request_bytes_, read_.Begin());
  }

  grpc::ByteBuffer request_bytes_;

 private:
  void ReadDone(bool ok) {
    reading_ = false;
    this->OnRead(ok);
  }

  bool reading_ = false;
  Rpc::Operation read_{this, static_cast<void (Rpc::*)(bool)>(&BidiRpc::ReadDone)};
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_RPC_H_
