// What the audit log says of one RPC.
//
// Who includes this: rpc.cc. Thread safety: plain functions.
#ifndef INTERPD_DAEMON_AUDIT_LINE_H_
#define INTERPD_DAEMON_AUDIT_LINE_H_

#include <google/protobuf/message.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "daemon/principal.h"

namespace interpd::daemon {

struct AuditEvent {
  absl::Time time;                       // when it began
  const Principal* principal = nullptr;  // null: nobody
  std::string peer;                      // as gRPC says it
  std::string_view method;
  const std::vector<std::string>* resources;  // as the client wrote them, or was answered
  int64_t more_resources = 0;                 // how often others were named
  std::string request_id;
  std::optional<absl::Status> status = {};  // none: it has only begun
  absl::Duration duration = {};
  int64_t left_out = 0;  // refusals of that principal, since the last one with a line
};

// JSON, valid whatever the texts hold.
std::string AuditLine(const AuditEvent& event);

// What a request, or an answer, is about: the texts in it that are names of something.
std::vector<std::string> ResourcesOf(const google::protobuf::Message& message);

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_AUDIT_LINE_H_
