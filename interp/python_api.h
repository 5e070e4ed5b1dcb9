// The only include of Python.h. Every other file of interp/ that needs CPython includes this one, first of all.
//
// What CPython 3.14 has but does not put into its public headers is declared here, with the reason it is needed.
#ifndef INTERPD_INTERP_PYTHON_API_H_
#define INTERPD_INTERP_PYTHON_API_H_

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <marshal.h>

static_assert(PY_VERSION_HEX >= 0x030E0000 && PY_VERSION_HEX < 0x030F0000, "interpd hosts CPython 3.14");

extern "C" {
// Queues `function(argument)` to run in `interp`, on whichever of its threads next reaches a safe point; a result of -1
// with an exception set raises there. Callable from any thread, attached or not; returns 0 when queued. The public
// Py_AddPendingCall reaches the main interpreter only.
PyAPI_FUNC(int) _PyEval_AddPendingCall(PyInterpreterState* interp, int (*function)(void*), void* argument, int flags);

// Runs the pending calls of the thread's interpreter; -1 with an exception set when one raised.
PyAPI_FUNC(int) _PyEval_MakePendingCalls(PyThreadState* thread_state);
}

#endif  // INTERPD_INTERP_PYTHON_API_H_
