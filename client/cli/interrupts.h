// Ctrl-C, and the other signals that ask interpctl to end, handled by a thread rather than by a signal handler.
//
// Who includes this: main, and the commands that have something of their own to do on Ctrl-C.
#ifndef INTERPD_CLIENT_CLI_INTERRUPTS_H_
#define INTERPD_CLIENT_CLI_INTERRUPTS_H_

#include <signal.h>

#include <functional>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace interpd::client {

// Watches SIGINT, SIGTERM and SIGHUP, except those that were ignored when the program began, and ignores SIGPIPE: a
// write to a closed pipe fails with EPIPE.
//
// Make it before any other thread, since it blocks these signals in the calling thread and threads inherit that.
// Thread safety: all methods may be called by any thread.
class Interrupts {
 public:
  // Is given how often the user has insisted: 1 for the first SIGINT, 2 for a second or for any other signal, and so
  // on. Runs on the watching thread.
  using Handler = std::function<void(int count)>;

  Interrupts();
  ~Interrupts();

  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;

  // What is done from now on; counting begins anew. Returns the previous handler. Waits for a handler that runs.
  Handler SetHandler(Handler handler);

  // 128 + the first signal that came; 0 if none did.
  int exit_code() const;

  // Forgets what came, for a program that goes on after it.
  void Reset();

 private:
  void Watch();

  int signal_fd_ = -1;
  int stop_fd_ = -1;
  mutable absl::Mutex mutex_;
  int exit_code_ ABSL_GUARDED_BY(mutex_) = 0;
  int count_ ABSL_GUARDED_BY(handler_mutex_) = 0;
  absl::Mutex handler_mutex_;  // held while a handler runs
  Handler handler_ ABSL_GUARDED_BY(handler_mutex_);
  std::thread thread_;
};

}  // namespace interpd::client

#endif  // INTERPD_CLIENT_CLI_INTERRUPTS_H_
