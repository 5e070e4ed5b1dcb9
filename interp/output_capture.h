// OutputCapture: what one interpreter writes to stdout and stderr, handed to the work that runs or to the log.
// OutputPump: the one thread of the host that reads all of them.
//
// Who includes this: interpreter_worker (captures), interpreter_registry (the pump).
//
// fds 1 and 2 of an interpreter's thread are pipes. The pump reads the other ends, in the process's own fd table, as
// soon as there is something, and calls Work::Output; between two pieces of work bytes go to the log. An interpreter's
// thread ends a piece of work only when its pipes are empty and what was in them has been delivered. It sees that by
// one system call and without waking anybody: its probe is an epoll instance that watches the pipes' reading ends.
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

  // For IsolateThread, which closes them. Call once.
  KeptFds ReleaseKeptFds();

  // The next four belong to the interpreter's thread, when it is isolated.
  //
  // Waits until what was written so far has been delivered.
  void Settle();
  // What is written from now on belongs to `work`.
  void Begin(Work* work);
  // Bytes go to the log again, if all that was written has been delivered; otherwise false.
  bool TryFinish();
  // The same, waiting if need be.
  void Finish();

  // Delivers no more to `work`, if it is the current one: its bytes are thrown away. Not for threads with an fd table
  // of their own.
  void Discard(const Work* work);
  // The receiver that refused more wants more. Not for threads with an fd table of their own.
  void Resume();

  // Stops reading, after a last look, and closes the read ends. Called in the process's fd table.
  void Close();
  // Calls the listeners for a reason of the caller's: the interpreter has ended.
  void TellListeners();

  LogChunk ReadLog(uint64_t* cursor, size_t max_bytes);
  int64_t Listen(absl::AnyInvocable<void()> listener);
  void StopListening(int64_t id);

 private:
  friend class OutputPump;

  explicit OutputCapture(OutputPump* pump, size_t log_limit_bytes) : pump_(pump), log_(log_limit_bytes) {}

  bool Settled() const;

  // Pump's thread: reads what is there from one pipe.
  void ReadPipe(int index);
  void Deliver(Stream stream, std::string_view data);

  OutputPump* const pump_;
  int read_fds_[2] = {-1, -1};
  int write_fds_[2] = {-1, -1};
  int probe_fd_ = -1;

  // Set by the pump from before it takes bytes out of a pipe until they are delivered. An interpreter's thread that
  // sees an empty pipe and then a clear flag knows that nothing is under way.
  std::atomic<bool> reading_{false};
  channels::EventCount delivered_;

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
