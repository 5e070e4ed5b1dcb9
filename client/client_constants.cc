// The methods of Client that deal with constants.
#include <grpcpp/support/sync_stream.h>

#include <algorithm>
#include <memory>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "client/client.h"
#include "client/client_impl.h"

namespace interpd::client {
namespace {

constexpr char kCollection[] = "constants/";

// Of one message: far below the limit of 64 MiB, and small enough for progress to be seen.
constexpr size_t kPieceBytes = size_t{1} << 20;

}  // namespace

absl::StatusOr<v1::PutConstantResponse> Client::PutConstant(std::string_view name, const absl::Cord& constant,
                                                            const PutConstantOptions& put, const RpcOptions& options) {
  RpcContext context(options);
  v1::PutConstantResponse response;
  std::unique_ptr<grpc::ClientWriter<v1::PutConstantRequest>> writer = impl_->constants->Put(context.get(), &response);
  v1::PutConstantRequest request;
  request.mutable_options()->set_name(ConstantResourceName(name));
  request.mutable_options()->set_size_bytes(static_cast<int64_t>(constant.size()));
  request.mutable_options()->set_persist(put.persist);
  int64_t sent = 0;
  bool accepted = true;  // else the status says why
  // Pieces of a Cord of many small parts go together.
  const auto send = [&] {
    const auto bytes = static_cast<int64_t>(request.data().size());
    accepted = writer->Write(request);
    request.Clear();
    sent += bytes;
    if (accepted && put.on_progress) put.on_progress(sent, static_cast<int64_t>(constant.size()));
  };
  for (std::string_view chunk : constant.Chunks()) {
    while (accepted && !chunk.empty()) {
      const size_t room = kPieceBytes - request.data().size();
      request.mutable_data()->append(chunk.substr(0, room));
      chunk.remove_prefix(std::min(room, chunk.size()));
      if (request.data().size() == kPieceBytes) send();
    }
  }
  if (accepted && (request.has_options() || !request.data().empty())) send();
  writer->WritesDone();
  grpc::Status status = writer->Finish();
  if (!status.ok()) return ToAbslStatus(status);
  return response;
}

absl::StatusOr<v1::Constant> Client::GetConstant(std::string_view name, const RpcOptions& options) {
  v1::GetConstantRequest request;
  request.set_name(ConstantResourceName(name));
  return impl_->Unary(*impl_->constants, &v1::Constants::Stub::Get, request, options);
}

absl::StatusOr<v1::ListConstantsResponse> Client::ListConstants(const v1::ListConstantsRequest& request,
                                                                const RpcOptions& options) {
  return impl_->Unary(*impl_->constants, &v1::Constants::Stub::List, request, options);
}

absl::StatusOr<std::vector<v1::Constant>> Client::ListConstants(const RpcOptions& options) {
  std::vector<v1::Constant> constants;
  v1::ListConstantsRequest request;
  request.set_page_size(1000);
  do {
    absl::StatusOr<v1::ListConstantsResponse> page = ListConstants(request, options);
    if (!page.ok()) return page.status();
    for (v1::Constant& constant : *page->mutable_constants()) constants.push_back(std::move(constant));
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  return constants;
}

absl::StatusOr<v1::Constant> Client::DeleteConstant(std::string_view name, const RpcOptions& options) {
  v1::DeleteConstantRequest request;
  request.set_name(ConstantResourceName(name));
  return impl_->Unary(*impl_->constants, &v1::Constants::Stub::Delete, request, options);
}

std::string ConstantResourceName(std::string_view name_or_id) {
  return absl::StrCat(kCollection, ConstantId(name_or_id));
}

std::string_view ConstantId(std::string_view name_or_id) { return absl::StripPrefix(name_or_id, kCollection); }

}  // namespace interpd::client
