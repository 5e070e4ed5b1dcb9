#include "daemon/interpreters_service.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "daemon/call_rpc.h"
#include "daemon/call_stream_rpc.h"
#include "daemon/create_rpc.h"
#include "daemon/exec_rpc.h"
#include "daemon/immediate_rpc.h"
#include "daemon/interpreter_proto.h"
#include "daemon/logs_rpc.h"
#include "daemon/page.h"

namespace interpd::daemon {
namespace {

// Calls that may arrive at once without waiting for this process to ask for the next.
constexpr int kWaitingForHot = 32;
constexpr int kWaitingForOthers = 4;

absl::StatusOr<std::shared_ptr<interp::Interpreter>> Find(const ServerState& state, const Principal& principal,
                                                          std::string_view name) {
  absl::StatusOr<std::string> id = ParseName(principal, name);
  if (!id.ok()) return id.status();
  return state.registry.Get(*id);
}

absl::Status Get(ServerState& state, const Principal& principal, const v1::GetRequest& request,
                 v1::Interpreter* response) {
  absl::StatusOr<std::shared_ptr<interp::Interpreter>> interpreter = Find(state, principal, request.name());
  if (!interpreter.ok()) return interpreter.status();
  EncodeInterpreter(principal, **interpreter, SetupSource::kInclude, response);
  return absl::OkStatus();
}

absl::Status List(ServerState& state, const Principal& principal, const v1::ListRequest& request,
                  v1::ListResponse* response) {
  absl::StatusOr<Page> page = DecodePage(request.page_size(), request.page_token());
  if (!page.ok()) return page.status();
  // One more than asked for says whether there is a next page.
  std::vector<std::shared_ptr<interp::Interpreter>> found = ListSeen(
      principal.space, page->after, page->size,
      [&](std::string_view after, size_t limit) { return state.registry.List(after, limit); },
      [](const auto& interpreter) { return std::string_view(interpreter->name()); });
  size_t bytes = 0;
  for (const auto& interpreter : found) {
    const auto count = static_cast<size_t>(response->interpreters_size());
    if (count == page->size || bytes >= kPageBytes) {
      // The last one's name, as it is written here.
      std::string_view last = response->interpreters().rbegin()->name();
      response->set_next_page_token(EncodePageToken(last.substr(last.find('/') + 1)));
      break;
    }
    v1::Interpreter* encoded = response->add_interpreters();
    EncodeInterpreter(principal, *interpreter, SetupSource::kOmit, encoded);
    bytes += encoded->ByteSizeLong();
  }
  return absl::OkStatus();
}

absl::Status Interrupt(ServerState& state, const Principal& principal, const v1::InterruptRequest& request,
                       v1::InterruptResponse* response) {
  if (state.draining) return ServerDraining();
  absl::StatusOr<std::shared_ptr<interp::Interpreter>> interpreter = Find(state, principal, request.name());
  if (!interpreter.ok()) return interpreter.status();
  response->set_interrupted((*interpreter)->Interrupt());
  return absl::OkStatus();
}

}  // namespace

void InterpretersService::Listen() {
  for (int i = 0; i < kWaitingForHot; ++i) (new CallRpc(state_, raw_))->Start();
  for (int i = 0; i < kWaitingForOthers; ++i) {
    (new CreateRpc(state_, raw_, create_requests_))->Start();
    (new CloseRpc(state_, raw_))->Start();
    (new ExecRpc(state_, raw_))->Start();
    (new CallStreamRpc(state_, raw_))->Start();
    (new LogsRpc(state_, raw_))->Start();
    using GetRpc = ImmediateRpc<RawInterpreters, v1::GetRequest, v1::Interpreter>;
    (new GetRpc(state_, RuleOf("interpd.v1.Interpreters/Get"), raw_, &RawInterpreters::RequestGet, &Get))->Start();
    using ListRpc = ImmediateRpc<RawInterpreters, v1::ListRequest, v1::ListResponse>;
    (new ListRpc(state_, RuleOf("interpd.v1.Interpreters/List"), raw_, &RawInterpreters::RequestList, &List))->Start();
    using InterruptRpc = ImmediateRpc<RawInterpreters, v1::InterruptRequest, v1::InterruptResponse>;
    (new InterruptRpc(state_, RuleOf("interpd.v1.Interpreters/Interrupt"), raw_, &RawInterpreters::RequestInterrupt,
                      &Interrupt))
        ->Start();
  }
}

}  // namespace interpd::daemon
