#include "interp/adopted_text.h"

#include <cstddef>
#include <cstdlib>
#include <cstring>

namespace interpd::interp {
namespace {

using channels::Kind;
using channels::Value;

static_assert(Value::TextOffset(Kind::kBytes) == offsetof(PyBytesObject, ob_sval));
static_assert(Value::TextOffset(Kind::kAsciiStr) == sizeof(PyASCIIObject));
static_assert(Value::TextOffset(Kind::kUcs1Str) == sizeof(PyCompactUnicodeObject));

// More than CPython's small-object pools take: such a block is malloc's.
constexpr size_t kBeyondPools = 513;

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

bool CountForeignBlock(int difference) {
  // There is no function for it; but what the object allocator does not have in its pools it passes on to malloc and
  // counts, so one call of its own and one of malloc's change the count alone.
  if (difference > 0) {
    void* block = PyObject_Malloc(kBeyondPools);
    PyMem_RawFree(block);
    return block != nullptr;
  }
  void* block = PyMem_RawMalloc(kBeyondPools);
  PyObject_Free(block);
  return block != nullptr;
}

PyRef AdoptText(Kind kind, char* block, size_t size) {
  if (!CountForeignBlock(+1)) {
    std::free(block);
    PyErr_NoMemory();
    return {};
  }
  return PyRef::Steal(kind == Kind::kBytes ? BytesHeader(block, size) : StrHeader(kind, block, size));
}

}  // namespace interpd::interp
