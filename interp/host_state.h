// HostState: what one interpreter's module `interpd` keeps, and what its parts offer to each other.
//
// Who includes this: the files host_*.cc, which together are `import interpd`; value_codec, for the objects of the
// module's types that travel.
//
// Requires of every function: an attached thread. Functions that return a PyRef or a pointer return null with a Python
// exception set; those that return bool likewise, with false.
#ifndef INTERPD_INTERP_HOST_STATE_H_
#define INTERPD_INTERP_HOST_STATE_H_

#include <memory>
#include <string_view>

#include "absl/status/status.h"
#include "channels/buffer.h"
#include "channels/channel.h"
#include "interp/interpreter_link.h"
#include "interp/py_ref.h"
#include "interp/python_api.h"

namespace interpd::interp {

struct HostState {
  std::shared_ptr<InterpreterLink> link;
  PyRef channel_type, buffer_type, watch_type, selected_type, constants_type;
  PyRef channel_error, channel_closed, channel_full, channel_empty, not_shareable;
  PyRef helpers;  // the module made of interpd_helpers.py, once it was needed
};

// ---- host_module.cc ----
// The module's state in the current interpreter, importing it if need be.
HostState* CurrentHostState();
// A function of interpd_helpers.py.
PyRef Helper(HostState& state, const char* function);

// ---- host_functions.cc ----
extern PyMethodDef kChannelFunction;
extern PyMethodDef kCreateQueueFunction;

// ---- host_errors.cc ----
bool AddExceptions(PyObject* module, HostState& state);
// Sets the exception for a channel operation that did not come about. Requires: neither kDone nor kInterrupted, and for
// kInterrupted nothing, since then an exception is set already. Returns null.
PyObject* RaiseOutcome(HostState& state, channels::Outcome outcome, channels::Channel* channel);
PyObject* RaiseNotShareable(HostState& state, const absl::Status& status);
// For other statuses: ValueError for what the caller got wrong, RuntimeError else.
PyObject* RaiseStatus(HostState& state, const absl::Status& status);

// ---- host_buffer.cc ----
bool AddBufferType(PyObject* module, HostState& state);
extern PyMethodDef kBufferFunction;
// What a value of kind kBuffer refers to, for a Buffer, or a memoryview of one or of bytes; null without an exception
// if `object` is neither. `*problem` says why a memoryview cannot travel, and the result is null.
channels::Ref<channels::Shared> AsBufferView(PyObject* object, std::string_view* problem);
PyRef FromBufferView(HostState& state, channels::BufferView* view);

// ---- host_channel.cc ----
bool AddChannelType(PyObject* module, HostState& state);
// Borrowed; null without an exception if `object` is no channel.
channels::Channel* AsChannel(PyObject* object);
PyRef FromChannel(HostState& state, channels::Ref<channels::Channel> channel);

// ---- host_constants.cc ----
bool AddConstants(PyObject* module, HostState& state);
extern PyMethodDef kPublishFunction;

// ---- host_select.cc ----
bool AddSelectedType(PyObject* module, HostState& state);
extern PyMethodDef kSelectFunction;

// ---- host_watch.cc ----
bool AddWatchType(PyObject* module, HostState& state);
PyRef MakeWatch(HostState& state, channels::Channel* channel, channels::Direction direction, PyObject* callback);

}  // namespace interpd::interp

#endif  // INTERPD_INTERP_HOST_STATE_H_
