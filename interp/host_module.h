// `import interpd`: channels and shared memory, as hosted code sees them.
//
// Who includes this: python_runtime, which makes the module known to CPython before it starts.
//
// Every interpreter that has an InterpreterLink imports a module of its own; nothing in it is shared but what Values
// refer to. Its reference for users is interpd.pyi and help(interpd). The parts are the files host_*.cc:
// host_state.h says which is where.
#ifndef INTERPD_INTERP_HOST_MODULE_H_
#define INTERPD_INTERP_HOST_MODULE_H_

#include "absl/status/status.h"

namespace interpd::interp {

// Before Py_Initialize.
absl::Status RegisterHostModule();

}  // namespace interpd::interp

#endif  // INTERPD_INTERP_HOST_MODULE_H_
