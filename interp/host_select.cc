// interpd.select.
#include <utility>
#include <vector>

#include "channels/select.h"
#include "interp/host_arguments.h"
#include "interp/host_channel.h"
#include "interp/host_wait.h"

namespace interpd::interp {
namespace {

using channels::Outcome;
using channels::SelectCase;
using channels::Value;

// The cases, in C++. The channels live as long as `items`.
struct Cases {
  PyRef items;
  std::vector<Value> values;
  std::vector<SelectCase> cases;
};

bool ParseCases(HostState& state, PyObject* argument, Cases* out) {
  out->items = PyRef::Steal(PySequence_Tuple(argument));
  if (!out->items) return false;
  const Py_ssize_t size = PyTuple_GET_SIZE(out->items.get());
  if (size == 0) {
    PyErr_SetString(PyExc_ValueError, "select() needs at least one case");
    return false;
  }
  out->values.resize(static_cast<size_t>(size));
  out->cases.reserve(static_cast<size_t>(size));
  for (Py_ssize_t i = 0; i < size; ++i) {
    PyObject* item = PyTuple_GET_ITEM(out->items.get(), i);
    Value* value = &out->values[static_cast<size_t>(i)];
    if (channels::Channel* channel = AsChannel(item)) {
      out->cases.push_back({.channel = channel, .direction = channels::Direction::kRecv, .value = value});
      continue;
    }
    channels::Channel* channel =
        PyTuple_Check(item) && PyTuple_GET_SIZE(item) == 2 ? AsChannel(PyTuple_GET_ITEM(item, 0)) : nullptr;
    if (channel == nullptr) {
      PyErr_Format(PyExc_TypeError, "case %zd of select() is neither a channel nor a (channel, value)", i);
      return false;
    }
    if (!EncodeMessage(state, PyTuple_GET_ITEM(item, 1), Pickle::kNo, value)) return false;
    out->cases.push_back({.channel = channel, .direction = channels::Direction::kSend, .value = value});
  }
  return true;
}

// Tells the exception that is set which case it is about.
void NoteCase(size_t chosen) {
  PyObject* exception = PyErr_GetRaisedException();
  PyRef index = PyRef::Steal(PyLong_FromSize_t(chosen));
  if (!index || PyObject_SetAttrString(exception, "index", index.get()) < 0) PyErr_Clear();
  PyErr_SetRaisedException(exception);
}

PyObject* Select(PyObject* module, PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  static constexpr Signature<3> kSignature = {"select", 1, 2, {"cases", "timeout", "default"}};
  HostState& state = **static_cast<HostState**>(PyModule_GetState(module));
  PyObject* given[3];
  absl::Duration timeout;
  if (!kSignature.Bind(args, count, keywords, given) || !ParseTimeout(given[1], &timeout)) return nullptr;
  Cases cases;
  if (!ParseCases(state, given[0], &cases)) return nullptr;

  const auto with_default = given[2] != nullptr ? channels::WithDefault::kYes : channels::WithDefault::kNo;
  size_t chosen = 0;
  const Outcome outcome = WaitDetached(state, timeout, [&](const channels::Wait& wait) {
    return channels::Select(absl::MakeSpan(cases.cases), &chosen, wait, with_default);
  });
  if (outcome == Outcome::kEmpty) return Py_NewRef(given[2]);
  const SelectCase& selected = cases.cases[chosen];
  if (outcome != Outcome::kDone) {
    RaiseOutcome(state, outcome, selected.channel);
    if (outcome == Outcome::kClosed) NoteCase(chosen);
    return nullptr;
  }
  PyRef value = selected.direction == channels::Direction::kSend
                    ? PyRef::Borrow(Py_None)
                    : PyRef::Steal(Deliver(*selected.channel, std::move(*selected.value)));
  if (!value) return nullptr;
  PyObject* item = PyTuple_GET_ITEM(cases.items.get(), static_cast<Py_ssize_t>(chosen));
  PyRef index = PyRef::Steal(PyLong_FromSize_t(chosen));
  PyRef result = PyRef::Steal(PyStructSequence_New(reinterpret_cast<PyTypeObject*>(state.selected_type.get())));
  if (!index || !result) return nullptr;
  PyStructSequence_SetItem(result.get(), 0, index.release());
  PyStructSequence_SetItem(result.get(), 1, Py_NewRef(AsChannel(item) ? item : PyTuple_GET_ITEM(item, 0)));
  PyStructSequence_SetItem(result.get(), 2, value.release());
  return result.release();
}

}  // namespace

PyMethodDef kSelectFunction = INTERPD_METHOD(
    "select", Select,
    "select($module, cases, timeout=None, *, default=...)\n--\n\n"
    "Waits until one of several channels is ready, and receives from it or sends to it: that one and no other.\n\n"
    "A case is a channel, to receive, or (channel, value), to send. Of several that are ready one is picked at "
    "random.\n"
    "Returns Selected(index, channel, value), value being None for a case that sent.\n\n"
    "    index, channel, value = interpd.select([requests, (answers, 42)], timeout=0.5)\n\n"
    "When none is ready, waits; or returns `default` at once, if one is given. Raises TimeoutError after `timeout`\n"
    "seconds, and ChannelClosed, with the attribute `index`, when a case's channel is closed (and for a receiver "
    "empty).");

bool AddSelectedType(PyObject* module, HostState& state) {
  static PyStructSequence_Field fields[] = {
      {"index", "which of the cases"},
      {"channel", "its channel"},
      {"value", "what was received; None for a case that sent"},
      {},
  };
  static PyStructSequence_Desc description = {"interpd.Selected", "What select() has done.", fields, 3};
  state.selected_type = PyRef::Steal(reinterpret_cast<PyObject*>(PyStructSequence_NewType(&description)));
  return state.selected_type && PyModule_AddObjectRef(module, "Selected", state.selected_type.get()) == 0;
}

}  // namespace interpd::interp
