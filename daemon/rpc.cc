#include "daemon/rpc.h"

#include <google/protobuf/io/coded_stream.h>
#include <grpc/grpc_security_constants.h>
#include <grpcpp/security/auth_context.h>
#include <grpcpp/support/proto_buffer_reader.h>
#include <grpcpp/support/proto_buffer_writer.h>
#include <grpcpp/support/slice.h>

#include <atomic>
#include <chrono>
#include <climits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "daemon/utf8.h"

namespace interpd::daemon {
namespace {

// Levels of messages that a request may nest. Above what a Value may (kMaxWireDepth), so that a Value just over its
// limit is told where it is too deep.
constexpr int kMaxMessageDepth = 200;

constexpr size_t kMaxRequestId = 128;

// Serialised in one piece of memory.
constexpr size_t kSmallBytes = 64 << 10;

// Names that the audit log has of one call, and the bytes of one.
constexpr size_t kMaxResources = 8;
constexpr size_t kMaxResourceBytes = 256;

// How long the client of a revoked call may take to read what is on its way to it.
constexpr std::chrono::seconds kPatience(2);

bool CanBeLogged(std::string_view id) {
  return !id.empty() && id.size() <= kMaxRequestId && absl::c_all_of(id, absl::ascii_isgraph);
}

}  // namespace

std::string Rpc::request_id() const {
  if (!request_id_.empty() || !accepted_) return request_id_;
  auto sent = context_.client_metadata().find("x-request-id");
  if (sent != context_.client_metadata().end() && CanBeLogged({sent->second.data(), sent->second.size()})) {
    request_id_.assign(sent->second.data(), sent->second.size());
  } else {
    static std::atomic<int64_t> last{0};
    request_id_ = absl::StrCat("r", last.fetch_add(1, std::memory_order_relaxed) + 1);  // relaxed: only to be unique
  }
  return request_id_;
}

void Rpc::Start() {
  context_.AsyncNotifyWhenDone(static_cast<EventLoop::Tag*>(&done_));
  Listen(accept_.Begin());
}

Rpc::~Rpc() {
  Leave();
  state_.open_streams.erase(this);
  if (!accepted_) return;
  (newer_ == nullptr ? state_.newest_call : newer_->older_) = older_;
  if (older_ != nullptr) older_->newer_ = newer_;
  if (--state_.calls == 0 && state_.on_idle) state_.on_idle();
}

void Rpc::Accepted(bool ok) {
  if (!ok) return;  // the server shuts down; the tag of AsyncNotifyWhenDone does not come then
  accepted_ = true;
  ++state_.calls;
  older_ = std::exchange(state_.newest_call, this);
  if (older_ != nullptr) older_->newer_ = this;
  Ref();  // for that tag
  Another()->Start();
  accepted_time_ = absl::Now();
  absl::Status admitted = Admit();
  if (!admitted.ok()) {
    refused_ = true;
    return Refuse(admitted);
  }
  OnAccepted();
}

absl::Status Rpc::Admit() {
  principal_ = FindPrincipal();
  if (principal_ != nullptr && principal_->limits != PrincipalLimits()) account_ = &state_.accounts[principal_->name];
  // Refused calls are charged for, too.
  absl::Status status = account_ == nullptr ? absl::OkStatus() : Charge();
  if (status.ok()) status = Permit(principal_.get());
  if (!status.ok() || account_ == nullptr) return status;
  const int64_t limit = principal_->limits.max_in_flight;
  if (limit != 0 && account_->in_flight >= limit) {
    return MakeError(absl::StatusCode::kResourceExhausted, v1::TOO_MANY_IN_FLIGHT,
                     absl::StrCat(principal_->name, " has ", account_->in_flight,
                                  " calls open, as many as it may; try again when one has ended"),
                     {{"limit", absl::StrCat(limit)}});
  }
  ++account_->in_flight;
  in_flight_ = true;
  return absl::OkStatus();
}

absl::Status Rpc::Permit(const Principal* principal) const {
  if (principal == nullptr) {
    return MakeError(absl::StatusCode::kUnauthenticated, v1::NOT_AUTHENTICATED,
                     "nothing says on whose behalf this call is, or what says so does not hold");
  }
  if (principal->role >= rule_.least) return absl::OkStatus();
  return MakeError(absl::StatusCode::kPermissionDenied, v1::NOT_PERMITTED,
                   absl::StrCat(principal->name, " is a ", RoleName(principal->role), ", and ", rule_.method,
                                " is for a ", RoleName(rule_.least)),
                   {{"method", rule_.method}, {"role", RoleName(principal->role)}});
}

absl::Status Rpc::Charge() {
  if (account_ == nullptr || principal_->limits.requests_per_second == 0) return absl::OkStatus();
  const double limit = principal_->limits.requests_per_second;
  const absl::Duration wait = account_->rate.Take(limit, absl::Now());
  if (wait == absl::ZeroDuration()) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kResourceExhausted, v1::RATE_LIMITED,
      absl::StrCat(principal_->name, " may send ", limit, " requests a second; try again in ",
                   absl::FormatDuration(wait)),
      {{"limit", absl::StrCat(limit)}, {"retry_after_ms", absl::StrCat(absl::ToInt64Milliseconds(wait) + 1)}});
}

// ---- what was allowed and is no more --------------------------------------------------------------------------------

void Rpc::CheckAccessOfAll(ServerState& state) {
  // Kept, since the end of one may be that of others.
  std::vector<Rpc*> open;
  for (Rpc* rpc = state.newest_call; rpc != nullptr; rpc = rpc->older_) {
    rpc->Ref();
    open.push_back(rpc);
  }
  for (Rpc* rpc : open) {
    RequestScope scope(rpc);
    rpc->CheckAccess();
    rpc->Unref();
  }
}

void Rpc::CheckExpired(ServerState& state) {
  const absl::Time now = absl::Now();
  std::vector<Rpc*> expired;
  for (Rpc* rpc = state.newest_call; rpc != nullptr; rpc = rpc->older_) {
    if (rpc->expires_ > now) continue;
    rpc->Ref();
    expired.push_back(rpc);
  }
  for (Rpc* rpc : expired) {
    RequestScope scope(rpc);
    rpc->CheckAccess();
    rpc->Unref();
  }
}

void Rpc::CheckAccess() {
  if (finished_ || cancelled_) return;
  const PrincipalRef now = FindPrincipal();
  if (now == principal_) return;
  if (now == nullptr) {
    return Revoke(MakeError(
        absl::StatusCode::kUnauthenticated, v1::NOT_AUTHENTICATED,
        absl::StrCat("what said that this call is on behalf of ", principal_->name, " does not hold any longer")));
  }
  absl::Status status = Permit(now.get());
  if (status.ok() && (now->role != principal_->role || now->name != principal_->name)) {
    status = MakeError(absl::StatusCode::kPermissionDenied, v1::NOT_PERMITTED,
                       absl::StrCat(now->name, " is a ", RoleName(now->role), " now; this call was begun by ",
                                    principal_->name, ", a ", RoleName(principal_->role), ": call again"),
                       {{"method", rule_.method}, {"role", RoleName(now->role)}});
  }
  // Its limits stay those that it was begun with.
  if (!status.ok()) Revoke(std::move(status));
}

void Rpc::Revoke(absl::Status why) {
  revoked_ = std::move(why);
  cancelled_ = true;
  patience_ = std::make_unique<grpc::Alarm>();
  patience_->Set(state_.loop.queue(), std::chrono::system_clock::now() + kPatience, patience_over_.Begin());
  OnCancelled();
}

void Rpc::PatienceOver(bool ok) {
  if (ok && !finished_) context_.TryCancel();
}

void Rpc::SetExpiry(absl::Time when) {
  const bool before = expires_ != absl::InfiniteFuture(), after = when != absl::InfiniteFuture();
  expires_ = when;
  if (before == after) return;
  if (after) {
    state_.call_expiry.Begun();
  } else {
    state_.call_expiry.Ended();
  }
}

// ---- the audit log --------------------------------------------------------------------------------------------------

void Rpc::Touches(std::string_view name) {
  if (state_.options.audit == nullptr || !rule_.mutates || name.empty()) return;
  std::string abridged;
  if (name.size() > kMaxResourceBytes) name = abridged = Abridge(name, kMaxResourceBytes);
  if (absl::c_linear_search(resources_, name)) return;
  if (resources_.size() < kMaxResources) {
    resources_.emplace_back(name);
  } else {
    ++more_resources_;
  }
}

void Rpc::TouchesAnswered(const google::protobuf::Message& answer) {
  if (state_.options.audit == nullptr || !rule_.mutates || !resources_.empty()) return;
  for (const std::string& name : ResourcesOf(answer)) Touches(name);
}

AuditEvent Rpc::Event() const {
  std::string peer = context_.peer();
  if (peer.starts_with("fd:")) peer = "unix";
  return {.time = accepted_time_,
          .principal = principal_.get(),
          .peer = std::move(peer),
          .method = rule_.method,
          .resources = &resources_,
          .more_resources = more_resources_,
          .request_id = request_id()};
}

void Rpc::Audit(const absl::Status& status) {
  const bool refused = refused_ || absl::IsPermissionDenied(status) || absl::IsUnauthenticated(status);
  if (!rule_.mutates && !refused) return;
  AuditEvent event = Event();
  event.status = status;
  event.duration = absl::Now() - accepted_time_;
  // A call that may have done something has its line in any case.
  if (refused_) {
    std::optional<int64_t> left_out =
        state_.audited_refusals.Take(principal_ == nullptr ? "" : principal_->name, absl::Now());
    if (!left_out) return;
    event.left_out = *left_out;
  }
  state_.options.audit->Write(AuditLine(event));
}

PrincipalRef Rpc::FindPrincipal() {
  const std::string peer = context_.peer();
  if (peer.starts_with("fd:")) return state_.connections.Find(peer);
  TcpPeer shown;
  std::shared_ptr<const grpc::AuthContext> context = context_.auth_context();
  for (const grpc::string_ref& type : context->FindPropertyValues(GRPC_TRANSPORT_SECURITY_TYPE_PROPERTY_NAME)) {
    shown.tls = type == GRPC_SSL_TRANSPORT_SECURITY_TYPE;
  }
  // The common name, or if there is none the first alternative one, names the principal.
  for (const char* property : {GRPC_X509_CN_PROPERTY_NAME, GRPC_X509_SAN_PROPERTY_NAME}) {
    for (const grpc::string_ref& name : context->FindPropertyValues(property)) {
      shown.certificate_names.emplace_back(name.data(), name.size());
    }
  }
  auto authorization = context_.client_metadata().find("authorization");
  if (authorization != context_.client_metadata().end()) {
    shown.authorization = {authorization->second.data(), authorization->second.size()};
  }
  absl::Time expires;
  PrincipalRef principal = state_.access.OfTcpPeer(shown, &expires);
  SetExpiry(principal == nullptr ? absl::InfiniteFuture() : expires);
  return principal;
}

void Rpc::Done(bool) {
  if (finished_ || std::exchange(cancelled_, true)) return;
  OnCancelled();
}

absl::Status Rpc::Parse(grpc::ByteBuffer& bytes, google::protobuf::Message* message) {
  const bool first = !std::exchange(parsed_any_, true);
  absl::Status charged = first ? absl::OkStatus() : Charge();  // the first: by Admit
  if (!charged.ok()) {
    bytes.Clear();
    return charged;
  }
  int64_t length = static_cast<int64_t>(bytes.Length());
  if (length > max_message_bytes()) {
    bytes.Clear();
    return MessageTooLarge("the request", length, max_message_bytes());
  }
  bool parsed = false;
  {
    grpc::ProtoBufferReader reader(&bytes);
    google::protobuf::io::CodedInputStream stream(&reader);
    stream.SetRecursionLimit(kMaxMessageDepth);
    parsed = reader.status().ok() && message->ParseFromCodedStream(&stream) && stream.ConsumedEntireMessage();
  }
  bytes.Clear();
  if (parsed && first && rule_.mutates && state_.options.audit != nullptr) {
    for (const std::string& name : ResourcesOf(*message)) Touches(name);
    // Whatever it runs may end the daemon.
    if (rule_.runs) state_.options.audit->Write(AuditLine(Event()));
  }
  if (parsed) return absl::OkStatus();
  return InvalidField("request", absl::StrCat("is no valid ", message->GetTypeName(), ", or nests deeper than ",
                                              kMaxMessageDepth, " messages"));
}

std::optional<grpc::ByteBuffer> Serialize(const google::protobuf::Message& message) {
  const size_t size = message.ByteSizeLong();
  if (size > INT_MAX) return std::nullopt;
  if (size <= kSmallBytes) {
    grpc::Slice slice(size);
    message.SerializeWithCachedSizesToArray(const_cast<uint8_t*>(slice.begin()));
    return grpc::ByteBuffer(&slice, 1);
  }
  grpc::ByteBuffer bytes;
  {
    grpc::ProtoBufferWriter writer(&bytes, grpc::kProtoBufferWriterMaxBufferLength, static_cast<int>(size));
    CHECK(message.SerializeToZeroCopyStream(&writer)) << message.GetTypeName();
  }
  return bytes;
}

void EndExpiredCalls(ServerState& state) { Rpc::CheckExpired(state); }

}  // namespace interpd::daemon
