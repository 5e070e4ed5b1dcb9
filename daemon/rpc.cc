#include "daemon/rpc.h"

#include <google/protobuf/io/coded_stream.h>
#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/support/proto_buffer_reader.h>
#include <grpcpp/support/proto_buffer_writer.h>

#include <atomic>
#include <string>
#include <string_view>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

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
  state_.open_streams.erase(this);
  if (accepted_ && --state_.calls == 0 && state_.on_idle) state_.on_idle();
}

void Rpc::Accepted(bool ok) {
  if (!ok) return;  // the server shuts down; the tag of AsyncNotifyWhenDone does not come then
  accepted_ = true;
  ++state_.calls;
  Ref();  // for that tag
  Another()->Start();
  principal_ = FindPrincipal();
  if (principal_ == nullptr) {
    return Refuse(MakeError(absl::StatusCode::kUnauthenticated, v1::NOT_AUTHENTICATED,
                            "the daemon does not know on whose behalf this call is"));
  }
  OnAccepted();
}

PrincipalRef Rpc::FindPrincipal() const {
  const std::string peer = context_.peer();
  if (peer.starts_with("fd:")) return state_.connections.Find(peer);
  return state_.access.anonymous();
}

void Rpc::Done(bool) {
  if (finished_) return;
  cancelled_ = true;
  OnCancelled();
}

absl::Status Rpc::Parse(grpc::ByteBuffer& bytes, google::protobuf::Message* message) const {
  int64_t length = static_cast<int64_t>(bytes.Length());
  if (length > state_.options.max_message_bytes) {
    bytes.Clear();
    return MessageTooLarge("the request", length, state_.options.max_message_bytes);
  }
  bool parsed = false;
  {
    grpc::ProtoBufferReader reader(&bytes);
    google::protobuf::io::CodedInputStream stream(&reader);
    stream.SetRecursionLimit(kMaxMessageDepth);
    parsed = reader.status().ok() && message->ParseFromCodedStream(&stream) && stream.ConsumedEntireMessage();
  }
  bytes.Clear();
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
