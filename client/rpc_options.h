// What may be said about any one RPC.
//
// Who includes this: client.h.
#ifndef INTERPD_CLIENT_RPC_OPTIONS_H_
#define INTERPD_CLIENT_RPC_OPTIONS_H_

#include "absl/time/time.h"
#include "client/cancellation.h"

namespace interpd::client {

struct RpcOptions {
  // The RPC ends with DEADLINE_EXCEEDED after so long; the daemon interrupts its code.
  absl::Duration timeout = absl::InfiniteDuration();
  // If set, ends the RPC when it is cancelled. Must outlive it.
  Cancellation* cancellation = nullptr;
};

}  // namespace interpd::client

#endif  // INTERPD_CLIENT_RPC_OPTIONS_H_
