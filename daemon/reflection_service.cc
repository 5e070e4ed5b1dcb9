#include "daemon/reflection_service.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>

#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "daemon/rpc.h"
#include "daemon/utf8.h"

namespace interpd::daemon {
namespace {

using google::protobuf::DescriptorPool;
using google::protobuf::FieldDescriptor;
using google::protobuf::FileDescriptor;
using grpc::reflection::v1alpha::ServerReflection;
using grpc::reflection::v1alpha::ServerReflectionRequest;
using grpc::reflection::v1alpha::ServerReflectionResponse;

void AddFile(const FileDescriptor* file, std::set<const FileDescriptor*>& added, ServerReflectionResponse* response) {
  if (!added.insert(file).second) return;
  google::protobuf::FileDescriptorProto proto;
  file->CopyTo(&proto);
  response->mutable_file_descriptor_response()->add_file_descriptor_proto(proto.SerializeAsString());
  for (int i = 0; i < file->dependency_count(); ++i) AddFile(file->dependency(i), added, response);
}

// `file` and what it imports; none: it was not found.
void AnswerFile(const FileDescriptor* file, std::string_view what, ServerReflectionResponse* response) {
  if (file == nullptr) {
    response->mutable_error_response()->set_error_code(static_cast<int>(grpc::StatusCode::NOT_FOUND));
    response->mutable_error_response()->set_error_message(absl::StrCat("not found: ", Abridge(what, 256)));
    return;
  }
  std::set<const FileDescriptor*> added;
  AddFile(file, added, response);
}

ServerReflectionResponse Answer(const ServerReflectionRequest& request) {
  const DescriptorPool& pool = *DescriptorPool::generated_pool();
  ServerReflectionResponse response;
  response.set_valid_host(request.host());
  *response.mutable_original_request() = request;
  switch (request.message_request_case()) {
    case ServerReflectionRequest::kFileByFilename:
      AnswerFile(pool.FindFileByName(request.file_by_filename()), request.file_by_filename(), &response);
      break;
    case ServerReflectionRequest::kFileContainingSymbol:
      AnswerFile(pool.FindFileContainingSymbol(request.file_containing_symbol()), request.file_containing_symbol(),
                 &response);
      break;
    case ServerReflectionRequest::kFileContainingExtension: {
      const auto& extension = request.file_containing_extension();
      const auto* type = pool.FindMessageTypeByName(extension.containing_type());
      const FieldDescriptor* field =
          type == nullptr ? nullptr : pool.FindExtensionByNumber(type, extension.extension_number());
      AnswerFile(field == nullptr ? nullptr : field->file(), extension.containing_type(), &response);
      break;
    }
    case ServerReflectionRequest::kAllExtensionNumbersOfType: {
      const auto* type = pool.FindMessageTypeByName(request.all_extension_numbers_of_type());
      if (type == nullptr) {
        AnswerFile(nullptr, request.all_extension_numbers_of_type(), &response);
        break;
      }
      std::vector<const FieldDescriptor*> extensions;
      pool.FindAllExtensions(type, &extensions);
      auto* numbers = response.mutable_all_extension_numbers_response();
      numbers->set_base_type_name(type->full_name());
      for (const FieldDescriptor* extension : extensions) numbers->add_extension_number(extension->number());
      break;
    }
    case ServerReflectionRequest::kListServices:
      for (const char* name : {v1::Interpreters::service_full_name(), v1::Admin::service_full_name(),
                               grpc::health::v1::Health::service_full_name(), ServerReflection::service_full_name()}) {
        response.mutable_list_services_response()->add_service()->set_name(name);
      }
      break;
    case ServerReflectionRequest::MESSAGE_REQUEST_NOT_SET:
      response.mutable_error_response()->set_error_code(static_cast<int>(grpc::StatusCode::INVALID_ARGUMENT));
      response.mutable_error_response()->set_error_message("the request asks for nothing");
      break;
  }
  return response;
}

// Answers one request after the other.
class ReflectionRpc final : public BidiRpc<ServerReflectionResponse> {
 public:
  ReflectionRpc(ServerState& state, RawReflection& service)
      : BidiRpc(state, RuleOf("grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")), service_(service) {}

 private:
  void Listen(void* tag) override {
    service_.RequestServerReflectionInfo(&context_, &stream_, state_.loop.queue(), state_.loop.queue(), tag);
  }
  Rpc* Another() const override { return new ReflectionRpc(state_, service_); }
  void OnAccepted() override {
    state_.open_streams.insert(this);
    Read();
  }
  void OnRead(bool ok) override {
    if (finished()) return;
    if (!ok) return Finish(cancelled() ? CancelledByClient() : absl::OkStatus());
    ServerReflectionRequest request;
    absl::Status parsed = Parse(request_bytes_, &request);
    if (!parsed.ok()) return Finish(parsed);
    Write(Answer(request));
  }
  void OnWritten(bool ok) override {
    if (finished()) return;
    if (!ok || ending_) return Finish(ending_ ? ServerDraining() : CancelledByClient());
    Read();
  }
  void OnShutdown() override {
    ending_ = true;
    if (!finished() && !writing()) Finish(ServerDraining());
  }

  RawReflection& service_;
  bool ending_ = false;
};

}  // namespace

void ReflectionService::Listen() { (new ReflectionRpc(state_, raw_))->Start(); }

}  // namespace interpd::daemon
