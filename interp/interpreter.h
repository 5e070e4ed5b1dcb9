// Interpreter: one isolated CPython interpreter as the daemon sees it. InterpreterRegistry makes them.
//
// Each has its own GIL, its own OS thread and that thread's own working directory, umask and file descriptors. Work
// runs one piece at a time, first come first served. Thread safety: every method may be called from any thread of the
// process except where said, never blocks on Python code, and returns at once.
#ifndef INTERPD_INTERP_INTERPRETER_H_
#define INTERPD_INTERP_INTERPRETER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "interp/time_histogram.h"
#include "interp/work.h"

namespace interpd::interp {

struct InterpreterConfig {
  std::vector<std::string> path;     // prepended to sys.path
  std::string venv;                  // directory of a virtual environment; empty: none
  bool site = false;                 // whether `import site` runs
  std::string cwd;                   // empty: the daemon's
  std::string space;                 // where its code looks for names (channels/names.h)
  std::string setup_source;          // run in __main__ once it is made
  bool may_publish = false;          // whether its code may make constants (interpd.publish)
  size_t queue_limit = 1024;         // pieces of work that may wait
  size_t log_limit_bytes = 1 << 20;  // the log's ring
};

enum class State { kCreating, kActive, kRunning, kClosing, kClosed, kFailed, kStuck };

struct InterpreterInfo {
  std::string name;  // without the collection
  State state = State::kCreating;
  absl::Time create_time;
  int64_t completed_count = 0;
  int64_t pending_count = 0;  // waits or runs
  int64_t thread_id = 0;      // the kernel's
  absl::Duration cpu_time;    // of the main thread
  int64_t memory_bytes = 0;   // of its objects: pools, and larger blocks
};

// What its work took: an interpreter's, or all interpreters' together.
struct WorkTimes {
  TimeCounts queue;          // from Submit until it ran
  TimeCounts run;            // from then until its end, its output not included
  int64_t raised_count = 0;  // how many of these ended with an exception

  void Add(const WorkTimes& other) {
    queue.Add(other.queue);
    run.Add(other.run);
    raised_count += other.raised_count;
  }
};

// A piece of an interpreter's log.
struct LogChunk {
  Stream stream = Stream::kStdout;
  std::string data;
  uint64_t dropped_bytes = 0;  // lost between `cursor` and this
};

class Interpreter {
 public:
  virtual ~Interpreter() = default;

  virtual const std::string& name() const = 0;
  virtual const InterpreterConfig& config() const = 0;
  virtual InterpreterInfo info() const = 0;

  // Queues work. Done will be called if and only if the answer is OK.
  // Errors: INTERPRETER_CLOSING, QUEUE_FULL, SOURCE_TOO_LARGE.
  virtual absl::Status Submit(std::shared_ptr<Work> work) = 0;

  // Ends work that was submitted here: its Done comes with CANCELLED. Waiting work is dropped at once, or, when as many
  // as the queue may hold were dropped behind the same running work, when its turn comes; running code gets
  // KeyboardInterrupt, again and again until it ends. Nothing happens if it has ended.
  virtual void Cancel(const std::shared_ptr<Work>& work) = 0;

  // KeyboardInterrupt, once, to what runs now. Returns whether something ran.
  virtual bool Interrupt() = 0;

  // After Work::Output returned false: it wants more.
  virtual void ResumeOutput() = 0;

  // Begins to close: refuses new work, drops waiting work, lets what runs go on for `grace` and then interrupts it,
  // runs atexit functions, ends left-over threads, ends the interpreter. `done` is called once, under the rules of
  // Work::Done: with kClosed, with kFailed if it could not even be made, or with kStuck when it has not ended five
  // seconds past the grace period. Closing again shortens the grace period if it can, and calls back too.
  virtual void Close(absl::Duration grace, absl::AnyInvocable<void(State) &&> done) = 0;

  // Reads the log from `*cursor` (0: its beginning), at most `max_bytes` of one stream, and moves the cursor on.
  // Empty data: nothing new.
  virtual LogChunk ReadLog(uint64_t* cursor, size_t max_bytes) = 0;

  // `listener` is called, under the rules of Work::Done, whenever the log has grown, and when the interpreter has
  // ended or is given up as stuck. Returns an id for StopListening, after which it is not called again.
  virtual int64_t ListenToLog(absl::AnyInvocable<void()> listener) = 0;
  virtual void StopListening(int64_t id) = 0;

  // What each of its threads executes, as Python prints stacks; best effort. `done` is called within two seconds,
  // with a note instead if the interpreter does not answer; under the rules of Work::Done.
  virtual void DumpStacks(absl::AnyInvocable<void(std::string) &&> done) = 0;
};

}  // namespace interpd::interp

#endif  // INTERPD_INTERP_INTERPRETER_H_
