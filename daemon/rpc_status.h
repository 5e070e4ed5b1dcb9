// The one place where an error becomes what goes over the wire.
//
// Who includes this: rpc.h, which fails calls, and the call stream, whose items fail one by one.
#ifndef INTERPD_DAEMON_RPC_STATUS_H_
#define INTERPD_DAEMON_RPC_STATUS_H_

#include <grpcpp/support/status.h>

#include "absl/status/status.h"
#include "interpd/v1/interpreters.pb.h"

namespace interpd::daemon {

// A gRPC status whose details are a serialised google.rpc.Status with one google.rpc.ErrorInfo {reason, domain
// "interpd", metadata}. An error without a reason of the contract is a defect of the daemon and becomes
// INTERNAL/INTERNAL_ERROR, except a bare CANCELLED or DEADLINE_EXCEEDED, which become CANCELLED_BY_CLIENT. Long texts
// are abridged, since clients take no more than 8 KiB of trailing metadata.
grpc::Status ToGrpcStatus(const absl::Status& status);

// The same, as the error of one call of a CallStream. Requires: not OK.
v1::CallError ToCallError(const absl::Status& status);

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_RPC_STATUS_H_
