// One gRPC completion queue and the one thread that polls it. Measured: more queues or pollers are slower.
//
// Who includes this: the implementation of Client and CallPipeline.
//
// Thread safety: queue() may be used by any thread until the destructor begins. Tags run on the poller's thread, one
// at a time, and must not block.
#ifndef INTERPD_CLIENT_COMPLETION_POLLER_H_
#define INTERPD_CLIENT_COMPLETION_POLLER_H_

#include <grpcpp/completion_queue.h>

#include <thread>

namespace interpd::client {

// What every operation on the queue passes as its tag.
class CompletionTag {
 public:
  virtual ~CompletionTag() = default;

  // `ok` is what the queue returned. May delete this.
  virtual void Complete(bool ok) = 0;
};

class CompletionPoller {
 public:
  CompletionPoller();

  // Waits for every operation that was started on the queue. Not on the poller's thread.
  ~CompletionPoller();

  CompletionPoller(const CompletionPoller&) = delete;
  CompletionPoller& operator=(const CompletionPoller&) = delete;

  grpc::CompletionQueue* queue() { return &queue_; }

 private:
  grpc::CompletionQueue queue_;
  std::thread thread_;
};

}  // namespace interpd::client

#endif  // INTERPD_CLIENT_COMPLETION_POLLER_H_
