#include "daemon/rpc.h"

#include <google/protobuf/io/coded_stream.h>
#include <grpc/grpc_security_constants.h>
#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/security/auth_context.h>
#include <grpcpp/support/proto_buffer_reader.h>
#include <grpcpp/support/proto_buffer_writer.h>

#include <atomic>
#include <memory>
#include <string>
#include <string_view>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "daemon/audit_line.h"

namespace interpd::daemon {
namespace {

// Levels of messages that a request may nest. Above what a Value may (kMaxWireDepth), so that a Value just over its
// limit is told where it is too deep.
constexpr int kMaxMessageDepth = 200;

constexpr size_t kMaxRequestId = 128;

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
  if (accepted_ && --state_.calls == 0 && state_.on_idle) state_.on_idle();
}

void Rpc::Accepted(bool ok) {
  if (!ok) return;  // the server shuts down; the tag of AsyncNotifyWhenDone does not come then
  accepted_ = true;
  ++state_.calls;
  Ref();  // for that tag
  Another()->Start();
  accepted_time_ = absl::Now();
  absl::Status admitted = Admit();
  if (!admitted.ok()) return Refuse(admitted);
  OnAccepted();
}

absl::Status Rpc::Admit() {
  principal_ = FindPrincipal();
  if (principal_ == nullptr) {
    return MakeError(absl::StatusCode::kUnauthenticated, v1::NOT_AUTHENTICATED,
                     "nothing says on whose behalf this call is, or what says so does not hold");
  }
  if (principal_->role < rule_.least) {
    return MakeError(absl::StatusCode::kPermissionDenied, v1::NOT_PERMITTED,
                     absl::StrCat(principal_->name, " is a ", RoleName(principal_->role), ", and ", rule_.method,
                                  " is for a ", RoleName(rule_.least)),
                     {{"method", rule_.method}, {"role", RoleName(principal_->role)}});
  }
  const PrincipalLimits& limits = principal_->limits;
  if (limits.max_in_flight == 0 && limits.requests_per_second == 0) return absl::OkStatus();
  Account& account = state_.accounts[principal_->name];
  if (limits.max_in_flight != 0 && account.in_flight >= limits.max_in_flight) {
    return MakeError(absl::StatusCode::kResourceExhausted, v1::TOO_MANY_IN_FLIGHT,
                     absl::StrCat(principal_->name, " has ", account.in_flight,
                                  " calls open, as many as it may; try again when one has ended"),
                     {{"limit", absl::StrCat(limits.max_in_flight)}});
  }
  account_ = &account;
  ++account.in_flight;
  return absl::OkStatus();
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

void Rpc::Audit(const absl::Status& status) {
  const bool refused = principal_ == nullptr || absl::IsPermissionDenied(status) || absl::IsUnauthenticated(status);
  if (!rule_.mutates && !refused) return;
  const std::string peer = context_.peer();
  state_.options.audit->Write(AuditLine({.time = accepted_time_,
                                         .duration = absl::Now() - accepted_time_,
                                         .principal = principal_.get(),
                                         .peer = peer.starts_with("fd:") ? "unix" : peer,
                                         .method = rule_.method,
                                         .resource = resource_,
                                         .request_id = request_id(),
                                         .status = status}));
}

PrincipalRef Rpc::FindPrincipal() const {
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
  return state_.access.OfTcpPeer(shown);
}

void Rpc::Done(bool) {
  if (finished_) return;
  cancelled_ = true;
  OnCancelled();
}

absl::Status Rpc::Parse(grpc::ByteBuffer& bytes, google::protobuf::Message* message) {
  absl::Status charged = Charge();
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
  if (state_.options.audit != nullptr && rule_.mutates && parsed && resource_.empty()) resource_ = ResourceOf(*message);
  if (parsed) return absl::OkStatus();
  return InvalidField("request", absl::StrCat("is no valid ", message->GetTypeName(), ", or nests deeper than ",
                                              kMaxMessageDepth, " messages"));
}

grpc::ByteBuffer Serialize(const google::protobuf::Message& message) {
  grpc::ByteBuffer bytes;
  bool own_buffer;
  grpc::Status status =
      grpc::GenericSerialize<grpc::ProtoBufferWriter, google::protobuf::Message>(message, &bytes, &own_buffer);
  CHECK(status.ok()) << status.error_message();
  return bytes;
}

}  // namespace interpd::daemon
