#include "daemon/constants_service.h"

#include <string>
#include <string_view>
#include <vector>

#include "daemon/constant_proto.h"
#include "daemon/constant_rpc.h"
#include "daemon/full_name.h"
#include "daemon/immediate_rpc.h"
#include "daemon/page.h"

namespace interpd::daemon {
namespace {

// Calls that may arrive at once without waiting for this process to ask for the next.
constexpr int kWaiting = 4;

absl::Status Get(ServerState& state, const Principal& principal, const v1::GetConstantRequest& request,
                 v1::Constant* response) {
  absl::StatusOr<std::string> id = ParseConstantName(principal, request.name());
  if (!id.ok()) return id.status();
  absl::StatusOr<interp::ConstantInfo> constant = state.registry.constants().Get(*id);
  if (!constant.ok()) return constant.status();
  EncodeConstant(principal, *constant, state.constants, response);
  return absl::OkStatus();
}

absl::Status List(ServerState& state, const Principal& principal, const v1::ListConstantsRequest& request,
                  v1::ListConstantsResponse* response) {
  absl::StatusOr<Page> page = DecodePage(request.page_size(), request.page_token());
  if (!page.ok()) return page.status();
  // One more than asked for says whether there is a next page.
  std::vector<interp::ConstantInfo> found = ListSeen(
      principal.space, page->after, page->size,
      [&](std::string_view after, size_t limit) { return state.registry.constants().List(after, limit); },
      [](const interp::ConstantInfo& constant) { return std::string_view(constant.name); });
  if (found.size() > page->size) {
    found.resize(page->size);
    response->set_next_page_token(EncodePageToken(principal.Shown(found.back().name)));
  }
  for (const interp::ConstantInfo& constant : found) {
    EncodeConstant(principal, constant, state.constants, response->add_constants());
  }
  return absl::OkStatus();
}

}  // namespace

void ConstantsService::Listen() {
  for (int i = 0; i < kWaiting; ++i) {
    (new PutConstantRpc(state_, raw_))->Start();
    (new DeleteConstantRpc(state_, raw_))->Start();
    using GetRpc = ImmediateRpc<RawConstants, v1::GetConstantRequest, v1::Constant>;
    (new GetRpc(state_, RuleOf("interpd.v1.Constants/Get"), raw_, &RawConstants::RequestGet, &Get))->Start();
    using ListRpc = ImmediateRpc<RawConstants, v1::ListConstantsRequest, v1::ListConstantsResponse>;
    (new ListRpc(state_, RuleOf("interpd.v1.Constants/List"), raw_, &RawConstants::RequestList, &List))->Start();
  }
}

}  // namespace interpd::daemon
