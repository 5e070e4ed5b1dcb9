// What the audit log says of one RPC.
//
// Who includes this: rpc.cc. Thread safety: plain functions.
#ifndef INTERPD_DAEMON_AUDIT_LINE_H_
#define INTERPD_DAEMON_AUDIT_LINE_H_

#include <google/protobuf/message.h>

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "daemon/principal.h"

namespace interpd::daemon {

struct AuditEvent {
  absl::Time time;  // when it began
  absl::Duration duration;
  const Principal* principal = nullptr;  // null: nobody
  std::string_view peer;                 // as gRPC says it
  std::string_view method;
  std::string_view resource;  // as the client wrote it
  std::string_view request_id;
  absl::Status status;
};

// JSON, valid whatever the texts hold.
std::string AuditLine(const AuditEvent& event);

// What a request is about: the first text in it that is a name of something. Empty: none is.
std::string ResourceOf(const google::protobuf::Message& request);

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_AUDIT_LINE_H_
