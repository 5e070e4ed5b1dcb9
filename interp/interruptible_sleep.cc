#include "interp/interruptible_sleep.h"

#include "interp/python_api.h"

#include <time.h>

#include <cerrno>
#include <cmath>
#include <cstdint>

#include "interp/py_ref.h"

namespace interpd::interp {
namespace {

constexpr int64_t kNanosPerSecond = 1'000'000'000;

PyObject* Sleep(PyObject*, PyObject* argument) {
  if (PySys_Audit("time.sleep", "O", argument) < 0) return nullptr;
  const double seconds = PyFloat_AsDouble(argument);
  if (seconds == -1.0 && PyErr_Occurred()) return nullptr;
  if (std::isnan(seconds)) {
    PyErr_SetString(PyExc_ValueError, "Invalid value NaN (not a number)");
    return nullptr;
  }
  if (seconds < 0) {
    PyErr_SetString(PyExc_ValueError, "sleep length must be non-negative");
    return nullptr;
  }
  if (seconds > 9e9) {
    PyErr_SetString(PyExc_OverflowError, "timestamp too large to convert to C PyTime_t");
    return nullptr;
  }
  timespec deadline;
  clock_gettime(CLOCK_MONOTONIC, &deadline);
  const double whole = std::floor(seconds);
  int64_t nanos = deadline.tv_nsec + static_cast<int64_t>(std::ceil((seconds - whole) * kNanosPerSecond));
  deadline.tv_sec += static_cast<time_t>(whole) + nanos / kNanosPerSecond;
  deadline.tv_nsec = nanos % kNanosPerSecond;

  int result;
  do {
    Py_BEGIN_ALLOW_THREADS;
    result = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &deadline, nullptr);
    Py_END_ALLOW_THREADS;
    if (result == EINTR && Py_MakePendingCalls() < 0) return nullptr;
  } while (result == EINTR);
  Py_RETURN_NONE;
}

PyMethodDef sleep_method = {
    "sleep", Sleep, METH_O,
    "sleep(seconds)\n\nDelay execution for a given number of seconds, a float for more precision. Can be interrupted."};

}  // namespace

bool InstallInterruptibleSleep() {
  PyRef time = PyRef::Steal(PyImport_ImportModule("time"));
  if (!time) return false;
  PyRef name = PyRef::Steal(PyUnicode_FromString("time"));
  PyRef sleep = name ? PyRef::Steal(PyCFunction_NewEx(&sleep_method, nullptr, name.get())) : PyRef();
  return sleep && PyObject_SetAttrString(time.get(), "sleep", sleep.get()) == 0;
}

}  // namespace interpd::interp
