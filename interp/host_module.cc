#include "interp/host_module.h"

#include <string>

#include "channels/channel_registry.h"
#include "interp/host_arguments.h"
#include "interp/host_state.h"
#include "interp/python_runtime.h"

namespace interpd::interp {
namespace {

constexpr char kName[] = "interpd";

HostState* State(PyObject* module) { return *static_cast<HostState**>(PyModule_GetState(module)); }

// ---- functions ----------------------------------------------------------------------------------------------------

PyMethodDef* Functions() {
  static PyMethodDef functions[] = {kChannelFunction, kCreateQueueFunction, kBufferFunction,
                                    kSelectFunction,  kPublishFunction,     {}};
  return functions;
}

// ---- the module ---------------------------------------------------------------------------------------------------

int Execute(PyObject* module) {
  InterpreterLink* link = InterpreterLink::Current();
  if (link == nullptr) {
    PyErr_SetString(PyExc_ImportError, "interpd can be imported in interpreters that interpd hosts, and only there");
    return -1;
  }
  auto* state = new HostState{.link = link->shared_from_this()};
  *static_cast<HostState**>(PyModule_GetState(module)) = state;
  const bool added = AddExceptions(module, *state) && AddChannelType(module, *state) && AddBufferType(module, *state) &&
                     AddSelectedType(module, *state) && AddWatchType(module, *state) && AddConstants(module, *state) &&
                     // Jobs put their task there.
                     PyModule_AddObjectRef(module, "task", Py_None) == 0;
  return added ? 0 : -1;
}

template <typename Visit>
int EachObject(HostState& state, Visit&& visit) {
  for (PyRef* object : {&state.channel_type, &state.buffer_type, &state.watch_type, &state.selected_type,
                        &state.constants_type, &state.channel_error, &state.channel_closed, &state.channel_full,
                        &state.channel_empty, &state.not_shareable, &state.helpers}) {
    if (int result = visit(object)) return result;
  }
  return 0;
}

int Traverse(PyObject* module, visitproc visit, void* arg) {
  HostState* state = State(module);
  if (state == nullptr) return 0;
  return EachObject(*state, [&](PyRef* object) {
    Py_VISIT(object->get());
    return 0;
  });
}

int Clear(PyObject* module) {
  HostState* state = State(module);
  if (state == nullptr) return 0;
  // Exceptions refer to nothing here and may be wanted by finalizers yet.
  for (PyRef* object : {&state->channel_type, &state->buffer_type, &state->watch_type, &state->selected_type,
                        &state->constants_type, &state->helpers}) {
    *object = PyRef();
  }
  return 0;
}

void Free(void* module) { delete State(static_cast<PyObject*>(module)); }

PyModuleDef* Definition() {
  static PyModuleDef_Slot slots[] = {
      {Py_mod_exec, reinterpret_cast<void*>(&Execute)},
      {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
      {0, nullptr},
  };
  static PyModuleDef definition = {
      .m_base = PyModuleDef_HEAD_INIT,
      .m_name = kName,
      .m_doc =
          "What the interpreters that interpd hosts say to each other.\n\n"
          "    ch = interpd.channel('jobs', capacity=64)    # opens it or makes it, in any interpreter\n"
          "    ch.send({'id': 1}); ch.recv(timeout=0.5); ch.close()\n"
          "    for job in ch: ...                           # until it is closed and empty\n"
          "    index, channel, value = interpd.select([ch, other], timeout=2)\n"
          "    value = await ch.arecv()                     # in asyncio, without a thread\n"
          "    buf = interpd.buffer(1 << 20)                # memory that they share\n"
          "    interpd.constants['prices']['apple']         # read-only objects that all of them use\n"
          "    interpd.task.key, interpd.task.attempt       # in a job: which task this is\n\n"
          "Channels can be sent through channels, and passed to calls and returned by them. So can constants and\n"
          "what is in them; nothing of them is copied.",
      .m_size = sizeof(HostState*),
      .m_methods = Functions(),
      .m_slots = slots,
      .m_traverse = Traverse,
      .m_clear = Clear,
      .m_free = Free,
  };
  return &definition;
}

PyObject* Initialize() { return PyModuleDef_Init(Definition()); }

}  // namespace

absl::Status RegisterHostModule() {
  if (PyImport_AppendInittab(kName, &Initialize) < 0) return absl::InternalError("there is no memory for a module");
  return absl::OkStatus();
}

HostState* CurrentHostState() {
  PyRef module = PyRef::Steal(PyImport_ImportModule(kName));
  // Hosted code may have put something else in its place; then the built-in one is not to be had.
  if (module && (!PyModule_Check(module.get()) || PyModule_GetDef(module.get()) != Definition())) {
    PyErr_SetString(PyExc_ImportError, "sys.modules['interpd'] is not the built-in module");
    return nullptr;
  }
  return module ? State(module.get()) : nullptr;
}

PyRef Helper(HostState& state, const char* function) {
  if (!state.helpers) {
    const std::string& code = PythonRuntime::helpers_code();
    PyRef object = PyRef::Steal(PyMarshal_ReadObjectFromString(code.data(), static_cast<Py_ssize_t>(code.size())));
    if (!object) return {};
    state.helpers = PyRef::Steal(PyImport_ExecCodeModule("_interpd_helpers", object.get()));
    if (!state.helpers) return {};
  }
  return PyRef::Steal(PyObject_GetAttrString(state.helpers.get(), function));
}

}  // namespace interpd::interp
