// OutputCapture: what one interpreter writes to stdout and stderr, handed to the work that runs or to the log.
// OutputPump: the one thread of the host that reads all of them.
//
// Who includes this: interpreter_worker (captures), interpreter_registry (the pump).
//
// fds 1 and 2 of an interpreter's thread are pipes. The pump reads the other ends, in the process's own fd table, as
// soon as there is something, and calls Work::Output; between two pieces of work bytes go to the log. An interpreter's
// thread ends a piece of work only when its pipes are empty and what was in them has been delivered, which it can see
// without a wake-up: see Settle.
#ifndef INTERPD_INTERP_OUTPUT_CAPTURE_H_
#define INTERPD_INTERP_OUTPUT_CAPTURE_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "channels/event_count.h"
#include "interp/interpreter.h"
#include "interp/log_ring.h"
#include "interp/thread_isolation.h"

namespace interpd::interp {

class OutputPump;

// Thread safety: every method any thread, except where said.
class OutputCapture {
 public:
  // Makes the pipes, in the fd table of the calling thread, which must be the process's, and has the pump read them.
  static absl::StatusOr<std::shared_ptr<OutputCapture>> Open(OutputPump* pump, size_t log_limit_bytes);
  ~OutputCapture();

  // The ends to write to, for IsolateThread, which closes them.
  int stdout_pipe() const { return write_fds_[0]; }
  int stderr_pipe() const { return write_fds_[1]; }

  // What is written from now on belongs to `work`, until Finish. Interpreter's thread only; calls Settle first.
  void Begin(const OutputProbes& probes, Work* work);
  // Waits until all that was written has been delivered; from then on bytes go to the log. Interpreter's thread only.
  void Finish(const OutputProbes& probes);

  // Delivers no more to the current work: its bytes are thrown away. For work that was cancelled. Not for threads
  // with an fd table of their own.
  void Discard();
  // The receiver that refused more wants more. Not for threads with an fd table of their own.
  void Resume();

  // Stops reading, after a last look, and closes the read ends. Called in the process's fd table.
  void Close();

  LogChunk ReadLog(uint64_t* cursor, size_t max_bytes);
  int64_t Listen(absl::AnyInvocable<void()> listener);
  void StopListening(int64_t id);

 private:
  friend class OutputPump;

  explicit OutputCapture(OutputPump* pump, size_t log_limit_bytes) : pump_(pump), log_(log_limit_bytes) {}

  // Interpreter's thread: returns when both pipes are empty and what was in them is delivered. Two system calls and
  // no wait when nothing was written, the usual case.
  void Settle(const OutputProbes& probes);
  bool Empty(const OutputProbes& probes) const;

  // Pump's thread: reads what is there from one pipe.
  void ReadPipe(int index);
  void Deliver(Stream stream, std::string_view data);

  OutputPump* const pump_;
  int read_fds_[2] = {-1, -1};
  int write_fds_[2] = {-1, -1};
  uint64_t inodes_[2] = {0, 0};

  // Set by the pump from before it takes bytes out of a pipe until they are delivered. An interpreter's thread that
  // sees an empty pipe and then a clear flag knows that nothing is under way.
  std::atomic<bool> reading_{false};
  channels::EventCount settled_;  // notified after each delivery

  std::mutex mu_;
  Work* work_ = nullptr;  // who gets the bytes; null: the log
  bool discard_ = false;  // ... nobody, until Finish
  bool paused_ = false;   // the receiver refused more; the pump does not read
  bool closed_ = false;
  LogRing log_;
  int64_t next_listener_ = 1;
  std::map<int64_t, absl::AnyInvocable<void()>> listeners_;
};

class OutputPump {
 public:
  OutputPump() = default;
  ~OutputPump();
  absl::Status Start();

 private:
  friend class OutputCapture;

  void Add(const std::shared_ptr<OutputCapture>& capture);
  void Remove(OutputCapture* capture);
  // Whether the pump waits for the pipes of `capture`.
  void Watch(OutputCapture* capture, bool wanted);
  void Run();

  int epoll_fd_ = -1;
  int stop_fd_ = -1;
  std::thread thread_;
  std::mutex mu_;
  struct Pipe {
    std::weak_ptr<OutputCapture> capture;
    int index;  // 0: stdout, 1: stderr
  };
  std::unordered_map<int, Pipe> pipes_;  // by the fd to read
};

}  // namespace interpd::interp

#endif  // INTERPD_INTERP_OUTPUT_CAPTURE_H_
