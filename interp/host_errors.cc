// The exceptions of `import interpd`.
#include <string>

#include "channels/error.h"
#include "channels/names.h"
#include "interp/host_state.h"

namespace interpd::interp {
namespace {

using channels::Outcome;

bool Add(PyObject* module, PyRef* slot, const char* name, const char* doc, PyObject* base) {
  const std::string qualified = std::string("interpd.") + name;
  *slot = PyRef::Steal(PyErr_NewExceptionWithDoc(qualified.c_str(), doc, base, nullptr));
  return *slot && PyModule_AddObjectRef(module, name, slot->get()) == 0;
}

// Code written for the standard library's queues names their exceptions. It can do so only after importing their
// modules; then, and at that cost only then, ours are theirs too.
PyRef Compatible(HostState& state, const PyRef& exception) {
  for (const char* module : {"_queue", "concurrent.interpreters"}) {
    PyRef name = PyRef::Steal(PyUnicode_FromString(module));
    PyRef imported = name ? PyRef::Steal(PyImport_GetModule(name.get())) : PyRef();
    if (!imported) {
      if (PyErr_Occurred()) return {};
      continue;
    }
    PyRef helper = Helper(state, "compatible");
    return helper ? PyRef::Steal(PyObject_CallOneArg(helper.get(), exception.get())) : PyRef();
  }
  return PyRef::Borrow(exception.get());
}

PyObject* Raise(HostState& state, const PyRef& exception, const std::string& message) {
  PyRef type = Compatible(state, exception);
  if (type) PyErr_SetString(type.get(), message.c_str());
  return nullptr;
}

}  // namespace

bool AddExceptions(PyObject* module, HostState& state) {
  return Add(module, &state.channel_error, "ChannelError", "Base of what goes wrong with channels.", PyExc_Exception) &&
         Add(module, &state.channel_closed, "ChannelClosed",
             "The channel is closed, and for a receiver: empty. `sent`, where present, tells how many values of "
             "send_many() went before.",
             state.channel_error.get()) &&
         Add(module, &state.channel_full, "ChannelFull",
             "No room. Where a program has imported `queue` it is a queue.Full, too.", state.channel_error.get()) &&
         Add(module, &state.channel_empty, "ChannelEmpty",
             "Nothing to receive. Where a program has imported `queue` it is a queue.Empty, too.",
             state.channel_error.get()) &&
         Add(module, &state.not_shareable, "NotShareableError",
             "A value cannot cross interpreters; the message names the element.", PyExc_TypeError);
}

PyObject* RaiseOutcome(HostState& state, Outcome outcome, channels::Channel* channel) {
  if (outcome == Outcome::kTimeout) {
    PyErr_SetString(PyExc_TimeoutError, "the time is over");
    return nullptr;
  }
  const std::string id(channels::IdOf(channel->name()));
  const std::string which = id.empty() ? "the channel" : "channel '" + id + "'";
  switch (outcome) {
    case Outcome::kFull: return Raise(state, state.channel_full, which + " is full");
    case Outcome::kEmpty: return Raise(state, state.channel_empty, which + " is empty");
    case Outcome::kClosed: return Raise(state, state.channel_closed, which + " is closed");
    default: return nullptr;
  }
}

PyObject* RaiseNotShareable(HostState& state, const absl::Status& status) {
  return Raise(state, state.not_shareable, std::string(status.message()));
}

PyObject* RaiseStatus(HostState& state, const absl::Status& status) {
  const std::string message(status.message());
  PyErr_SetString(status.code() == absl::StatusCode::kInvalidArgument ? PyExc_ValueError : state.channel_error.get(),
                  message.c_str());
  return nullptr;
}

}  // namespace interpd::interp
