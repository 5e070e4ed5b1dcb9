// InterpreterLink: how the process reaches into one interpreter. It outlives the interpreter, so whoever holds it may
// call it at any time: what comes too late is told so instead of touching what is gone.
//
// Who includes this: interpreter_worker, which opens and closes it; the host module, whose objects leave errands.
//
// An Errand is something that must be done in the interpreter: wake an event loop, drop a reference to one of its
// objects. Post takes it from any thread. It runs on whichever thread of the interpreter next comes to a safe point, or
// on the interpreter's own thread when that is idle.
//
// Thread safety: Post and interrupt(), any thread. The rest: the interpreter's own thread, attached, except Ended.
#ifndef INTERPD_INTERP_INTERPRETER_LINK_H_
#define INTERPD_INTERP_INTERPRETER_LINK_H_

#include <sys/types.h>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>

#include "channels/channel_registry.h"
#include "channels/interrupt.h"
#include "interp/constant.h"
#include "interp/python_api.h"
#include "interp/value_codec.h"

namespace interpd::interp {

class Errand {
 public:
  virtual ~Errand() = default;

  // In the interpreter, attached. False with a Python exception set: it is run again after that has been raised.
  virtual bool Run() = 0;
  // The interpreter has ended without running it. On any thread.
  virtual void TooLate() = 0;

 private:
  friend class InterpreterLink;

  std::shared_ptr<Errand> self_;  // while it is posted
  Errand* next_ = nullptr;
};

class ConstantBooks;

// What of the process the interpreter's code can reach.
struct HostedAccess {
  channels::ChannelRegistry* channels;  // those that have names; it outlives the interpreter, not the link
  std::shared_ptr<ConstantBooks> constants;
  bool may_publish = false;  // constants
  std::string space;         // of the names that it looks up and makes (channels/names.h)
  EncodeLimits limits;       // of one value that is sent
};

class InterpreterLink : public std::enable_shared_from_this<InterpreterLink> {
 public:
  // `wake_idle` makes the interpreter's own thread, when it waits for work, call RunErrands. Called on any thread
  // between Open and Ended, under a lock: it must not block.
  InterpreterLink(HostedAccess access, std::function<void()> wake_idle);
  ~InterpreterLink();

  const HostedAccess& access() const { return access_; }

  // The constants whose objects may be in the interpreter. They are held until it has ended. Attached.
  SeenConstants& seen_constants() { return seen_constants_; }

  // Ends the waits of the interpreter's threads on channels, so that they look for interrupts. Raised by whoever has
  // left them one to see.
  channels::Interrupt& interrupt() { return interrupt_; }

  // ---- the interpreter's life ----
  // It exists. The current interpreter finds its link by Current from now on. False with a Python exception set.
  bool Open();
  // It is about to be ended: runs errands for the last time. No Python code of the interpreter's may follow but what
  // its end itself runs.
  void BeginEnd();
  // It has ended. Not attached.
  void Ended();
  // Whether BeginEnd was called.
  bool ending() const { return ending_; }

  // The link of the interpreter that the thread is attached to; null in one that has none.
  static InterpreterLink* Current();

  // ---- errands ----
  // Lock-free but for the call into CPython that makes it look. `thread`, if not 0, gets the interrupt signal (a thread
  // of the interpreter's, or one that has ended).
  void Post(std::shared_ptr<Errand> errand, pid_t thread);
  bool HasErrands() const { return errands_.load(std::memory_order_relaxed) != nullptr; }  // relaxed: a hint
  // False with a Python exception set.
  bool RunErrands();

  // Objects of the interpreter that other holders keep (pinned_bytes): counted so that their memory can pass to the
  // process when the interpreter ends. Attached.
  void CountPinned(int difference) { pinned_ += difference; }

 private:
  static int OnPendingCall(void* link);
  bool Push(Errand* errand);  // false: the interpreter has ended
  void Alert(pid_t thread);

  const HostedAccess access_;
  const std::function<void()> wake_idle_;
  channels::Interrupt interrupt_;

  std::atomic<Errand*> errands_{nullptr};  // a stack, newest first; &closed_ once the interpreter has ended
  std::atomic<bool> alerted_{false};       // a pending call is queued and has not begun

  std::mutex mu_;
  PyInterpreterState* interpreter_state_ = nullptr;  // guarded by mu_: holding it keeps the interpreter alive

  // The interpreter's threads, attached.
  bool ending_ = false;
  int pinned_ = 0;
  SeenConstants seen_constants_;
};

}  // namespace interpd::interp

#endif  // INTERPD_INTERP_INTERPRETER_LINK_H_
