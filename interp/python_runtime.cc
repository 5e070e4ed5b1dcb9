#include "interp/python_runtime.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <utility>

#include "absl/log/log.h"
#include "absl/strings/str_cat.h"
#include "interp/blocking_calls.h"
#include "interp/constant_layout.h"
#include "interp/helpers_source.h"
#include "interp/host_module.h"
#include "interp/hosted_source.h"
#include "interp/py_ref.h"
#include "interp/python_api.h"
#include "interp/raw_memory.h"
#include "interp/stream_peek.h"

namespace interpd::interp {
namespace {

// Where hosted code finds the interpreter that it may start as a child, and CPython its standard library.
constexpr char kExecutable[] = "/usr/bin/python3.14";

struct State {
  PyThreadState* main_thread_state = nullptr;
  std::string version;
  std::string hosted_code;
  std::string helpers_code;
  bool knows_layout = false;
};

State& state() {
  static State* state = new State;
  return *state;
}

absl::Status Error(const PyStatus& status) {
  return absl::InternalError(absl::StrCat("CPython did not start: ", status.func ? status.func : "", ": ",
                                          status.err_msg ? status.err_msg : "unknown error"));
}

absl::Status Compile(const char* source, std::string* result) {
  PyRef code = PyRef::Steal(Py_CompileString(source, "<interpd>", Py_file_input));
  PyRef bytes = code ? PyRef::Steal(PyMarshal_WriteObjectToString(code.get(), Py_MARSHAL_VERSION)) : PyRef();
  if (!bytes) {
    PyErr_Print();
    return absl::InternalError("the host's own Python code does not compile");
  }
  result->assign(PyBytes_AS_STRING(bytes.get()), static_cast<size_t>(PyBytes_GET_SIZE(bytes.get())));
  return absl::OkStatus();
}

// Of the thread. In static storage from the thread's beginning on: a signal handler must not allocate it.
[[gnu::tls_model("initial-exec")]] constinit thread_local int wake_fd = -1;

// A system call that the thread is in returns because of the signal alone; one that it is about to enter, because of
// this. A handler runs on the thread, so it writes to a file of the thread's own table.
void WakeThread(int) {
  const int error = errno;
  if (wake_fd >= 0) [[maybe_unused]]
    auto written = eventfd_write(wake_fd, 1);
  errno = error;
}

}  // namespace

absl::Status PythonRuntime::Start() {
  struct sigaction action;
  std::memset(&action, 0, sizeof(action));
  action.sa_handler = &WakeThread;  // no SA_RESTART: the point is that system calls return
  sigaction(interrupt_signal(), &action, nullptr);

  PyPreConfig pre;
  PyPreConfig_InitIsolatedConfig(&pre);
  pre.utf8_mode = 1;
  PyStatus status = Py_PreInitialize(&pre);
  if (PyStatus_Exception(status)) return Error(status);

  InstallRawMemory();

  // A weak reference to a frozenset is written into it, and into a constant nothing can be. So no frozenset takes one,
  // like tuples; a type that is derived from it does, as from tuple.
  PyFrozenSet_Type.tp_weaklistoffset = 0;

  absl::Status registered = RegisterHostModule();
  if (!registered.ok()) return registered;

  PyConfig config;
  PyConfig_InitIsolatedConfig(&config);
  config.site_import = 0;
  config.install_signal_handlers = 0;
  status = PyConfig_SetBytesString(&config, &config.executable, kExecutable);
  if (!PyStatus_Exception(status)) status = PyConfig_SetBytesString(&config, &config.program_name, kExecutable);
  if (!PyStatus_Exception(status)) status = Py_InitializeFromConfig(&config);
  PyConfig_Clear(&config);
  if (PyStatus_Exception(status)) return Error(status);

  // C code in an interpreter writes through the process's one `stdout`: unbuffered, it goes to the writing thread's fd.
  std::setvbuf(stdout, nullptr, _IONBF, 0);
  absl::Status interruptible = MakeBlockingCallsInterruptible();
  if (!interruptible.ok()) {
    LOG(WARNING) << "Interrupts will not reach hosted code that is blocked in a system call: " << interruptible;
  }
  if (!StreamPeek::Learn())
    LOG(WARNING) << "Standard streams are flushed after every call: this CPython lays them out anew.";
  state().knows_layout = ConstantLayout::FitsThisPython();
  if (!state().knows_layout) LOG(WARNING) << "There are no constants: this CPython lays its objects out anew.";
  state().version = Py_GetVersion();
  absl::Status compiled = Compile(kHostedSource, &state().hosted_code);
  if (compiled.ok()) compiled = Compile(kHelpersSource, &state().helpers_code);
  state().main_thread_state = PyEval_SaveThread();
  return compiled;
}

void PythonRuntime::Finish() {
  PyEval_RestoreThread(state().main_thread_state);
  Py_FinalizeEx();
}

const std::string& PythonRuntime::version() { return state().version; }
const std::string& PythonRuntime::hosted_code() { return state().hosted_code; }
const std::string& PythonRuntime::helpers_code() { return state().helpers_code; }
absl::Status PythonRuntime::constants_status() {
  if (state().knows_layout) return absl::OkStatus();
  return absl::UnimplementedError("constants cannot be made: this CPython lays its objects out in an unknown way");
}

int PythonRuntime::interrupt_signal() { return SIGRTMIN + 5; }

int PythonRuntime::ThreadWakeFd() {
  struct Closer {
    ~Closer() {
      if (wake_fd >= 0) close(std::exchange(wake_fd, -1));
    }
  };
  static thread_local Closer closer;
  (void)closer;
  if (wake_fd < 0) wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  return wake_fd;
}

}  // namespace interpd::interp
