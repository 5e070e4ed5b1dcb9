// PythonRuntime: CPython as a whole, once in a process.
//
// Who includes this: interpreter_registry, which owns it, and subinterpreter.
#ifndef INTERPD_INTERP_PYTHON_RUNTIME_H_
#define INTERPD_INTERP_PYTHON_RUNTIME_H_

#include <string>

#include "absl/status/status.h"

namespace interpd::interp {

class PythonRuntime {
 public:
  // Starts CPython: isolated from the environment and the user's directories, in UTF-8 mode, without `site`, without
  // signal handlers. Leaves the calling thread detached. Call on the process's main thread, once.
  static absl::Status Start();

  // Ends CPython. Requires: all sub-interpreters have ended. Same thread as Start.
  static void Finish();

  // sys.version.
  static const std::string& version();

  // The compiled form (marshal) of the Python side of the host, interp/hosted.py.
  static const std::string& hosted_code();
  // That of the module `interpd`, interp/interpd_helpers.py.
  static const std::string& helpers_code();

  // Whether immortal constants can be made: UNIMPLEMENTED, where this CPython lays its objects out another way.
  static absl::Status constants_status();

  // The signal that makes a blocked system call of a thread return with EINTR. Its handler does nothing but write to
  // the thread's wake fd, if it has one.
  static int interrupt_signal();

  // The calling thread's wake fd, an eventfd in its own table of files, made by the first call; -1 with errno when
  // there is none to be had. A thread that polls it among others misses no interrupt signal, come it before the system
  // call or in it. It is closed when the thread ends.
  static int ThreadWakeFd();
};

}  // namespace interpd::interp

#endif  // INTERPD_INTERP_PYTHON_RUNTIME_H_
