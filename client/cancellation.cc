#include "client/cancellation.h"

#include <grpcpp/client_context.h>

namespace interpd::client {

void Cancellation::Cancel() {
  absl::MutexLock lock(mutex_);
  cancelled_ = true;
  for (grpc::ClientContext* context : contexts_) context->TryCancel();
}

bool Cancellation::cancelled() const {
  absl::MutexLock lock(mutex_);
  return cancelled_;
}

void Cancellation::Add(grpc::ClientContext* context) {
  absl::MutexLock lock(mutex_);
  contexts_.insert(context);
  // A context that is cancelled before its call begins ends the call at once.
  if (cancelled_) context->TryCancel();
}

void Cancellation::Remove(grpc::ClientContext* context) {
  absl::MutexLock lock(mutex_);
  contexts_.erase(context);
}

}  // namespace interpd::client
