// What a failed RPC says, as an absl::Status: code and message, and the google.rpc.ErrorInfo that interpd sends along.
//
// Who includes this: callers of Client that act on the reason of an error, and this directory's own code.
//
// Reasons are the names of interpd.v1.ErrorReason. Errors that the client itself makes, and those that gRPC makes (no
// connection, a message over the limit), carry no reason.
#ifndef INTERPD_CLIENT_RPC_ERROR_H_
#define INTERPD_CLIENT_RPC_ERROR_H_

#include <map>
#include <string>

#include "absl/status/status.h"
#include "interpd/v1/interpreters.pb.h"

namespace grpc {
class Status;
}

namespace interpd::client {

// "INTERPRETER_NOT_FOUND" and the like; empty when the status carries none.
std::string ErrorReason(const absl::Status& status);

// The changing parts of the message, under the keys that error_reason.proto names.
std::map<std::string, std::string> ErrorMetadata(const absl::Status& status);

// Whether there is, or was, no connection: UNAVAILABLE without a reason. With one it is the daemon's own answer: it
// drains.
bool ConnectionBroke(const absl::Status& status);

// The same error as an absl::Status. OK stays OK.
absl::Status ToAbslStatus(const grpc::Status& status);
absl::Status ToAbslStatus(const v1::CallError& error);

}  // namespace interpd::client

#endif  // INTERPD_CLIENT_RPC_ERROR_H_
