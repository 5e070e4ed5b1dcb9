// interpd.Buffer: memory that interpreters share, as hosted code sees it.
#include <cstring>
#include <string>
#include <utility>

#include "interp/host_arguments.h"
#include "interp/host_state.h"
#include "interp/pinned_bytes.h"

namespace interpd::interp {
namespace {

using channels::Buffer;
using channels::BufferView;
using channels::Ref;
using channels::Shared;

// Shows all of a Buffer, or what of it a received memoryview shows.
struct BufferObject {
  PyObject_HEAD Buffer* buffer;  // owned
  char* data;
  size_t size;
  bool readonly;
};

BufferObject* Self(PyObject* object) { return reinterpret_cast<BufferObject*>(object); }

PyRef NewBuffer(HostState& state, Ref<Buffer> buffer, char* data, size_t size, bool readonly) {
  auto* type = reinterpret_cast<PyTypeObject*>(state.buffer_type.get());
  if (type == nullptr) {
    PyErr_SetString(PyExc_RuntimeError, "the interpreter is ending");
    return {};
  }
  PyObject* object = type->tp_alloc(type, 0);
  if (object == nullptr) return {};
  BufferObject* self = Self(object);
  self->buffer = buffer.release();
  self->data = data;
  self->size = size;
  self->readonly = readonly;
  return PyRef::Steal(object);
}

void Dealloc(PyObject* object) {
  PyTypeObject* type = Py_TYPE(object);
  if (Self(object)->buffer != nullptr) Self(object)->buffer->Unref();
  type->tp_free(object);
  Py_DECREF(type);
}

// One type of each interpreter has this destructor.
bool IsBuffer(PyObject* object) { return Py_TYPE(object)->tp_dealloc == &Dealloc; }

int GetBuffer(PyObject* object, Py_buffer* view, int flags) {
  const BufferObject* self = Self(object);
  return PyBuffer_FillInfo(view, object, self->data, static_cast<Py_ssize_t>(self->size), self->readonly, flags);
}

Py_ssize_t Length(PyObject* object) { return static_cast<Py_ssize_t>(Self(object)->size); }

PyObject* Repr(PyObject* object) {
  return PyUnicode_FromFormat("<interpd.Buffer of %zu bytes%s>", Self(object)->size,
                              Self(object)->readonly ? ", read-only" : "");
}

PyObject* GetNbytes(PyObject* object, void*) { return PyLong_FromSize_t(Self(object)->size); }
PyObject* GetReadonly(PyObject* object, void*) { return PyBool_FromLong(Self(object)->readonly); }

PyObject* MakeBuffer(PyObject* module, PyObject* argument) {
  const Py_ssize_t size = PyNumber_AsSsize_t(argument, PyExc_OverflowError);
  if (size == -1 && PyErr_Occurred()) return nullptr;
  if (size < 0) {
    PyErr_SetString(PyExc_ValueError, "nbytes must not be negative");
    return nullptr;
  }
  Ref<Buffer> buffer = Buffer::Make(static_cast<size_t>(size));
  if (!buffer) return PyErr_NoMemory();
  HostState& state = **static_cast<HostState**>(PyModule_GetState(module));
  char* data = buffer->data();
  return NewBuffer(state, std::move(buffer), data, static_cast<size_t>(size), false).release();
}

// The one character that a memoryview's format is, perhaps behind an '@'; 0 if it is another.
char FormatCharacter(const char* format) {
  if (format == nullptr) return 'B';
  if (*format == '@') ++format;
  return std::strlen(format) == 1 && std::strchr("cbBhHiIlLqQnNfd?P", *format) != nullptr ? *format : '\0';
}

}  // namespace

PyMethodDef kBufferFunction = {
    "buffer", MakeBuffer, METH_O,
    "buffer($module, nbytes, /)\n--\n\n"
    "Makes a Buffer: nbytes of zeroed memory that interpreters can share.\n\n"
    "    buf = interpd.buffer(1 << 20)\n"
    "    view = memoryview(buf).cast('d')\n"
    "    ch.send(view)      # the receiver gets a memoryview of the same memory; nothing is copied\n\n"
    "The memory lives until the last holder, in whatever interpreter, drops it. Nothing guards it: order accesses by\n"
    "what is sent through channels, or keep to parts of it."};

bool AddBufferType(PyObject* module, HostState& state) {
  static PyGetSetDef getters[] = {
      {"nbytes", GetNbytes, nullptr, "Its size in bytes.", nullptr},
      {"readonly", GetReadonly, nullptr, "Whether memoryviews of it refuse to write.", nullptr},
      {},
  };
  static PyType_Slot slots[] = {
      {Py_tp_doc, const_cast<char*>("Memory that interpreters can share. Made by interpd.buffer(); use it through "
                                    "memoryview(), or whatever takes bytes-like objects.")},
      {Py_tp_dealloc, reinterpret_cast<void*>(&Dealloc)},
      {Py_tp_repr, reinterpret_cast<void*>(&Repr)},
      {Py_tp_getset, getters},
      {Py_sq_length, reinterpret_cast<void*>(&Length)},
      {Py_bf_getbuffer, reinterpret_cast<void*>(&GetBuffer)},
      {0, nullptr},
  };
  static PyType_Spec spec = {
      .name = "interpd.Buffer",
      .basicsize = sizeof(BufferObject),
      .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
      .slots = slots,
  };
  state.buffer_type = PyRef::Steal(PyType_FromModuleAndSpec(module, &spec, nullptr));
  return state.buffer_type && PyModule_AddObjectRef(module, "Buffer", state.buffer_type.get()) == 0;
}

Ref<Shared> AsBufferView(PyObject* object, std::string_view* problem) {
  if (IsBuffer(object)) {
    BufferObject* self = Self(object);
    return channels::MakeRef<BufferView>(Ref<Buffer>::Borrow(self->buffer), self->data, self->size, self->readonly,
                                         BufferView::Form::kBuffer);
  }
  if (!PyMemoryView_Check(object)) return nullptr;
  Py_buffer view;
  if (PyObject_GetBuffer(object, &view, PyBUF_FULL_RO) < 0) {
    PyErr_Clear();
    *problem = "the memoryview is released";
    return nullptr;
  }
  Ref<Shared> result;
  PyObject* base = PyMemoryView_GET_BASE(object);
  const char format = FormatCharacter(view.format);
  if (!PyBuffer_IsContiguous(&view, 'C')) {
    *problem = "the memoryview is not contiguous; send bytes(view)";
  } else if (format == '\0') {
    *problem = "the memoryview's format is none that memoryview.cast() makes";
  } else if (base == nullptr || !(IsBuffer(base) || PyBytes_CheckExact(base))) {
    *problem = "the memoryview shows neither an interpd.Buffer nor bytes; send bytes(view), or copy it to a Buffer";
  } else {
    // One that copies what it shows need not copy more.
    Ref<Buffer> buffer;
    char* data = static_cast<char*>(view.buf);
    if (IsBuffer(base)) {
      buffer = Ref<Buffer>::Borrow(Self(base)->buffer);
    } else if (InterpreterLink* link = InterpreterLink::Current()) {
      buffer = ShareBytes(*link, base);
      if (buffer) data = buffer->data() + (data - PyBytes_AS_STRING(base));
    }
    if (buffer) {
      using Form = BufferView::Form;
      const bool flat = view.ndim == 1;
      std::vector<int64_t> shape;
      if (!flat) shape.assign(view.shape, view.shape + view.ndim);
      result = channels::MakeRef<BufferView>(std::move(buffer), data, static_cast<size_t>(view.len), view.readonly != 0,
                                             flat ? Form::kFlat : Form::kShaped, format, std::move(shape));
    } else {
      PyErr_Clear();
      *problem = "there is not enough memory";
    }
  }
  PyBuffer_Release(&view);
  return result;
}

PyRef FromBufferView(HostState& state, BufferView* view) {
  PyRef object = NewBuffer(state, view->buffer(), view->data(), view->size(), view->readonly());
  if (!object || view->form() == BufferView::Form::kBuffer) return object;
  PyRef result = PyRef::Steal(PyMemoryView_FromObject(object.get()));
  if (!result || (view->form() == BufferView::Form::kFlat && view->format() == 'B')) return result;
  if (view->form() == BufferView::Form::kFlat) {
    return PyRef::Steal(PyObject_CallMethod(result.get(), "cast", "C", view->format()));
  }
  PyRef shape = PyRef::Steal(PyTuple_New(static_cast<Py_ssize_t>(view->shape().size())));
  for (size_t i = 0; shape && i < view->shape().size(); ++i) {
    PyObject* length = PyLong_FromLongLong(view->shape()[i]);
    if (length == nullptr) return {};
    PyTuple_SET_ITEM(shape.get(), static_cast<Py_ssize_t>(i), length);
  }
  return shape ? PyRef::Steal(PyObject_CallMethod(result.get(), "cast", "CO", view->format(), shape.get())) : PyRef();
}

}  // namespace interpd::interp
