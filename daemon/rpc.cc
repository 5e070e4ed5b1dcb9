#include "daemon/rpc.h"

#include <google/protobuf/io/coded_stream.h>
#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/support/proto_buffer_reader.h>
#include <grpcpp/support/proto_buffer_writer.h>

#include "absl/strings/str_cat.h"

namespace interpd::daemon {
namespace {

// Levels of messages that a request may nest. Above what a Value may (kMaxWireDepth), so that a Value just over its
// limit is told where it is too deep.
constexpr int kMaxMessageDepth = 200;

}  // namespace

void Rpc::Start() {
  context_.AsyncNotifyWhenDone(static_cast<EventLoop::Tag*>(&done_));
  Listen(accept_.Begin());
}

void Rpc::Accepted(bool ok) {
  if (!ok) return;  // the server shuts down; the tag of AsyncNotifyWhenDone does not come then
  Ref();            // for that tag
  Another()->Start();
  OnAccepted();
}

void Rpc::Done(bool) {
  if (finished_) return;
  cancelled_ = true;
  OnCancelled();
}

absl::Status Parse(grpc::ByteBuffer& bytes, google::protobuf::Message* message) {
  grpc::ProtoBufferReader reader(&bytes);
  if (reader.status().ok()) {
    google::protobuf::io::CodedInputStream stream(&reader);
    stream.SetRecursionLimit(kMaxMessageDepth);
    if (message->ParseFromCodedStream(&stream) && stream.ConsumedEntireMessage()) return absl::OkStatus();
  }
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
