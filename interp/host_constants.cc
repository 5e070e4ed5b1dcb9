// interpd.constants and interpd.publish: immortal constants, as hosted code sees them.
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "channels/error.h"
#include "channels/names.h"
#include "interp/constant_books.h"
#include "interp/constant_builder.h"
#include "interp/host_arguments.h"
#include "interp/host_state.h"
#include "interp/python_runtime.h"

namespace interpd::interp {
namespace {

// The one object of its type in an interpreter. What it has found it remembers for as long as no name changes, so that
// looking a name up again writes nothing that other interpreters read.
struct ConstantsObject {
  PyObject_HEAD InterpreterLink* link;  // the interpreter's own, which outlives its objects
  PyObject* found;                      // dict: name -> the outermost object
  uint64_t generation;                  // of the books, when `found` was empty
};

ConstantsObject* Self(PyObject* object) { return reinterpret_cast<ConstantsObject*>(object); }

ConstantBooks& BooksOf(PyObject* self) { return *Self(self)->link->access().constants; }
const std::string& SpaceOf(PyObject* self) { return Self(self)->link->access().space; }

// The module refers to the object, and that by its type to the module.
int Traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(Self(self)->found);
  return 0;
}

void Dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  Py_XDECREF(Self(self)->found);
  type->tp_free(self);
  Py_DECREF(type);
}

// Of a str; no data, with an exception set, if it has none.
std::string_view Utf8(PyObject* name) {
  Py_ssize_t size = 0;
  const char* text = PyUnicode_AsUTF8AndSize(name, &size);
  return {text, text == nullptr ? 0 : static_cast<size_t>(size)};
}

// Raises KeyError if there is none.
bool Find(PyObject* self, PyObject* name, ConstantBooks::Newest* newest) {
  const std::string_view text = PyUnicode_Check(name) ? Utf8(name) : std::string_view();
  // An ID with a '/' would lead out of the interpreter's own space.
  absl::StatusOr<ConstantBooks::Newest> found = absl::NotFoundError("");
  if (text.find('/') == std::string_view::npos) found = BooksOf(self).Find(absl::StrCat(SpaceOf(self), text));
  if (!found.ok()) {
    // Whatever cannot be a name is none, as in a dict of names.
    PyErr_Clear();
    PyErr_SetObject(PyExc_KeyError, name);
    return false;
  }
  *newest = *std::move(found);
  return true;
}

PyObject* GetItem(PyObject* self, PyObject* name) {
  ConstantsObject* constants = Self(self);
  // Before looking, so that a change meanwhile makes the next look-up begin anew.
  const uint64_t generation = BooksOf(self).generation();
  if (constants->generation != generation) {
    PyDict_Clear(constants->found);
    constants->generation = generation;
  }
  if (PyObject* known = PyDict_GetItemWithError(constants->found, name)) return Py_NewRef(known);
  if (PyErr_Occurred()) return nullptr;
  ConstantBooks::Newest newest;
  if (!Find(self, name, &newest)) return nullptr;
  constants->link->seen_constants().Add(newest.constant);
  PyObject* root = newest.constant->root();
  if (PyDict_SetItem(constants->found, name, root) < 0) return nullptr;
  return Py_NewRef(root);
}

// Null, without an exception, for a KeyError.
PyRef GetItemOrNothing(PyObject* self, PyObject* name) {
  PyRef item = PyRef::Steal(GetItem(self, name));
  if (!item && PyErr_ExceptionMatches(PyExc_KeyError)) PyErr_Clear();
  return item;
}

int Contains(PyObject* self, PyObject* name) {
  ConstantBooks::Newest newest;
  if (Find(self, name, &newest)) return 1;
  if (!PyErr_ExceptionMatches(PyExc_KeyError)) return -1;
  PyErr_Clear();
  return 0;
}

PyObject* Keys(PyObject* self, PyObject*) {
  const std::vector<std::string> names = BooksOf(self).Ids(SpaceOf(self));
  PyRef list = PyRef::Steal(PyList_New(static_cast<Py_ssize_t>(names.size())));
  for (size_t i = 0; list && i < names.size(); ++i) {
    PyObject* name = PyUnicode_FromStringAndSize(names[i].data(), static_cast<Py_ssize_t>(names[i].size()));
    if (name == nullptr) return nullptr;
    PyList_SET_ITEM(list.get(), static_cast<Py_ssize_t>(i), name);
  }
  return list.release();
}

// Calls `add` with each name and its object; names that go meanwhile are left out.
template <typename Add>
PyObject* EachNamed(PyObject* self, Add&& add) {
  PyRef names = PyRef::Steal(Keys(self, nullptr));
  PyRef result = PyRef::Steal(PyList_New(0));
  if (!names || !result) return nullptr;
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(names.get()); ++i) {
    PyObject* name = PyList_GET_ITEM(names.get(), i);
    PyRef object = GetItemOrNothing(self, name);
    if (PyErr_Occurred()) return nullptr;
    if (!object) continue;
    PyRef item = add(name, object.get());
    if (!item || PyList_Append(result.get(), item.get()) < 0) return nullptr;
  }
  return result.release();
}

PyObject* Values(PyObject* self, PyObject*) {
  return EachNamed(self, [](PyObject*, PyObject* object) { return PyRef::Borrow(object); });
}

PyObject* Items(PyObject* self, PyObject*) {
  return EachNamed(self, [](PyObject* name, PyObject* object) { return PyRef::Steal(PyTuple_Pack(2, name, object)); });
}

PyObject* Iterate(PyObject* self) {
  PyRef names = PyRef::Steal(Keys(self, nullptr));
  return names ? PyObject_GetIter(names.get()) : nullptr;
}

Py_ssize_t Length(PyObject* self) { return static_cast<Py_ssize_t>(BooksOf(self).Ids(SpaceOf(self)).size()); }

PyObject* Get(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  static constexpr Signature<2> kSignature = {"get", 1, 2, {"name", "default"}};
  PyObject* bound[2];
  if (!kSignature.Bind(args, count, keywords, bound)) return nullptr;
  PyRef item = GetItemOrNothing(self, bound[0]);
  if (item || PyErr_Occurred()) return item.release();
  return Py_NewRef(bound[1] == nullptr ? Py_None : bound[1]);
}

PyObject* Version(PyObject* self, PyObject* name) {
  ConstantBooks::Newest newest;
  return Find(self, name, &newest) ? PyLong_FromLongLong(newest.version) : nullptr;
}

PyObject* Repr(PyObject* self) {
  PyRef names = PyRef::Steal(Keys(self, nullptr));
  return names ? PyUnicode_FromFormat("<interpd.constants: %R>", names.get()) : nullptr;
}

PyObject* RaiseRefusal(HostState& state, const absl::Status& status) {
  const std::string message(status.message());
  if (channels::GetErrorInfo(status).reason == "VALUE_NOT_SHAREABLE") return RaiseNotShareable(state, status);
  const bool no_memory =
      status.code() == absl::StatusCode::kResourceExhausted && channels::GetErrorInfo(status).reason.empty();
  PyErr_SetString(no_memory                                           ? PyExc_MemoryError
                  : status.code() == absl::StatusCode::kUnimplemented ? PyExc_NotImplementedError
                                                                      : PyExc_ValueError,
                  message.c_str());
  return nullptr;
}

PyObject* Publish(PyObject* module, PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  static constexpr Signature<2> kSignature = {"publish", 2, 2, {"name", "value"}};
  PyObject* bound[2];
  if (!kSignature.Bind(args, count, keywords, bound)) return nullptr;
  HostState& state = **static_cast<HostState**>(PyModule_GetState(module));
  const HostedAccess& access = state.link->access();
  if (!access.may_publish) {
    PyErr_SetString(PyExc_PermissionError,
                    "this interpreter may not publish constants; whoever creates it can allow it");
    return nullptr;
  }
  if (!PyUnicode_Check(bound[0])) {
    PyErr_Format(PyExc_TypeError, "name must be a str, not %T", bound[0]);
    return nullptr;
  }
  const std::string_view name = Utf8(bound[0]);
  if (name.data() == nullptr) return nullptr;
  if (absl::Status named = channels::CheckName(name, "a constant", "constant_id"); !named.ok()) {
    return RaiseRefusal(state, named);
  }
  absl::Status possible = PythonRuntime::constants_status();
  if (!possible.ok()) return RaiseRefusal(state, possible);
  absl::StatusOr<channels::Ref<BuiltConstant>> built = BuildConstant(bound[1], access.constants->limits());
  if (!built.ok()) return RaiseRefusal(state, built.status());
  absl::StatusOr<PublishResult> published =
      access.constants->Publish(absl::StrCat(access.space, name), *std::move(built));
  if (!published.ok()) return RaiseRefusal(state, published.status());
  return PyLong_FromLongLong(published->info.version);
}

}  // namespace

PyMethodDef kPublishFunction = INTERPD_METHOD(
    "publish", Publish,
    "publish($module, /, name, value)\n--\n\n"
    "Makes a constant of value and returns its version.\n\n"
    "    interpd.publish('prices', {'apple': 3, 'pear': 4})\n"
    "    interpd.constants['prices']['apple']      # here, and in every other interpreter, without a copy\n\n"
    "A constant is made of None, bool, int, float, complex, str, bytes, tuple and frozenset, and of mappings that are\n"
    "read-only (types.MappingProxyType). Lists become tuples, sets frozensets, dicts such mappings. Everything else "
    "is\n"
    "refused with NotShareableError, which says where it is. value itself stays what it is. A name that exists gets a\n"
    "new version; if the content is the same, nothing happens.\n\n"
    "PermissionError: the interpreter was not created with the right to publish.");

bool AddConstants(PyObject* module, HostState& state) {
  static PyMethodDef methods[] = {
      INTERPD_METHOD("get", Get, "get($self, /, name, default=None)\n--\n\nThe newest version, or default."),
      {"keys", Keys, METH_NOARGS, "keys($self, /)\n--\n\nThe names there are now, as a list."},
      {"values", Values, METH_NOARGS, "values($self, /)\n--\n\nThe constants there are now, as a list."},
      {"items", Items, METH_NOARGS, "items($self, /)\n--\n\nPairs of name and constant, as a list."},
      {"version", Version, METH_O,
       "version($self, name, /)\n--\n\nThe number of the newest version; they count from 1."},
      {},
  };
  static PyType_Slot slots[] = {
      {Py_tp_doc, const_cast<char*>("Immortal constants by name: a mapping, and read-only.\n\n"
                                    "Every interpreter gets the very same objects, at once and without a copy. What\n"
                                    "a name gives stays as it is, even if the name gets a new version.")},
      {Py_tp_dealloc, reinterpret_cast<void*>(&Dealloc)},
      {Py_tp_traverse, reinterpret_cast<void*>(&Traverse)},
      {Py_tp_repr, reinterpret_cast<void*>(&Repr)},
      {Py_tp_iter, reinterpret_cast<void*>(&Iterate)},
      {Py_tp_methods, methods},
      {Py_mp_length, reinterpret_cast<void*>(&Length)},
      {Py_mp_subscript, reinterpret_cast<void*>(&GetItem)},
      {Py_sq_contains, reinterpret_cast<void*>(&Contains)},
      {0, nullptr},
  };
  static PyType_Spec spec = {
      .name = "interpd.Constants",
      .basicsize = sizeof(ConstantsObject),
      .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION |
               Py_TPFLAGS_MAPPING,
      .slots = slots,
  };
  state.constants_type = PyRef::Steal(PyType_FromModuleAndSpec(module, &spec, nullptr));
  if (!state.constants_type || PyModule_AddObjectRef(module, "Constants", state.constants_type.get()) < 0) return false;
  auto* type = reinterpret_cast<PyTypeObject*>(state.constants_type.get());
  PyRef constants = PyRef::Steal(type->tp_alloc(type, 0));
  PyRef found = PyRef::Steal(PyDict_New());
  if (!constants || !found) return false;
  Self(constants.get())->link = state.link.get();
  Self(constants.get())->found = found.release();
  return PyModule_AddObjectRef(module, "constants", constants.get()) == 0;
}

}  // namespace interpd::interp
