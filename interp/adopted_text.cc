#include "interp/adopted_text.h"

#include <cstddef>
#include <cstring>

#include "interp/raw_memory.h"

namespace interpd::interp {
namespace {

using channels::Kind;
using channels::Value;

static_assert(Value::TextOffset(Kind::kBytes) == offsetof(PyBytesObject, ob_sval));
static_assert(Value::TextOffset(Kind::kAsciiStr) == sizeof(PyASCIIObject));
static_assert(Value::TextOffset(Kind::kUcs1Str) == sizeof(PyCompactUnicodeObject));

PyObject* BytesHeader(char* block, size_t size) {
  auto* object = reinterpret_cast<PyBytesObject*>(block);
  PyObject_InitVar(reinterpret_cast<PyVarObject*>(object), &PyBytes_Type, static_cast<Py_ssize_t>(size));
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"  // what else but its owner could initialise it
  object->ob_shash = -1;
#pragma GCC diagnostic pop
  return reinterpret_cast<PyObject*>(object);
}

PyObject* StrHeader(Kind kind, char* block, size_t size) {
  auto* object = reinterpret_cast<PyASCIIObject*>(block);
  PyObject_Init(reinterpret_cast<PyObject*>(object), &PyUnicode_Type);
  object->length = static_cast<Py_ssize_t>(size / channels::CharacterSize(kind));
  object->hash = -1;
  std::memset(&object->state, 0, sizeof(object->state));
  object->state.kind = channels::CharacterSize(kind);  // PyUnicode_1BYTE_KIND is 1, and so on
  object->state.compact = 1;
  object->state.ascii = kind == Kind::kAsciiStr;
  if (kind != Kind::kAsciiStr) {
    auto* compact = reinterpret_cast<PyCompactUnicodeObject*>(block);
    compact->utf8_length = 0;
    compact->utf8 = nullptr;
  }
  return reinterpret_cast<PyObject*>(object);
}

}  // namespace

PyRef AdoptText(Kind kind, char* block, size_t size) {
  AdoptBlock(block);
  return PyRef::Steal(kind == Kind::kBytes ? BytesHeader(block, size) : StrHeader(kind, block, size));
}

}  // namespace interpd::interp
