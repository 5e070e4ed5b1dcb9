// Cancellation: ends RPCs from another thread.
//
// Who includes this: callers of Client who want to stop what they started, such as on Ctrl-C.
#ifndef INTERPD_CLIENT_CANCELLATION_H_
#define INTERPD_CLIENT_CANCELLATION_H_

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/synchronization/mutex.h"

namespace grpc {
class ClientContext;
}

namespace interpd::client {

// Ends every RPC that was given it (RpcOptions::cancellation) with CANCELLED: those in flight and those begun later.
// The daemon interrupts the code of a cancelled exec or call, and drops it if it has not begun.
//
// Thread safety: all methods may be called by any thread. Must outlive the RPCs it was given to.
class Cancellation {
 public:
  Cancellation() = default;
  Cancellation(const Cancellation&) = delete;
  Cancellation& operator=(const Cancellation&) = delete;

  void Cancel();
  bool cancelled() const;

  // For Client: between Add and Remove the context is cancelled with this.
  void Add(grpc::ClientContext* context);
  void Remove(grpc::ClientContext* context);

 private:
  mutable absl::Mutex mutex_;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  absl::flat_hash_set<grpc::ClientContext*> contexts_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace interpd::client

#endif  // INTERPD_CLIENT_CANCELLATION_H_
