// ConstantLayout: writes immortal Python objects into ConstantMemory, as CPython 3.14 lays them out. No interpreter
// owns any of them; what they refer to is in the same memory, or is CPython's own for the whole process (types, None,
// small ints, single characters).
//
// Who includes this: constant_builder. The other functions here are for whoever reads such objects.
//
// An object is finished when it is written: whatever CPython would write into it later is there already. The hash of a
// str, bytes, tuple or frozenset, the UTF-8 form of a str, the mark that it is interned, the immortal reference count;
// and no garbage collector tracks it. So its memory can be made read-only.
//
// Thread safety: one thread at a time. Requires of every method: an attached thread, of whichever interpreter. No
// Python code runs.
#ifndef INTERPD_INTERP_CONSTANT_LAYOUT_H_
#define INTERPD_INTERP_CONSTANT_LAYOUT_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "channels/value.h"
#include "interp/constant_memory.h"
#include "interp/py_ref.h"
#include "interp/python_api.h"

namespace interpd::interp {

class ConstantLayout {
 public:
  // The memory must outlive it.
  explicit ConstantLayout(ConstantMemory* memory) : memory_(*memory) {}

  // Compares what it writes with what this CPython makes. False: they differ, and it must not be used. Call once, in
  // the main interpreter; leaves no exception set.
  static bool FitsThisPython();

  // Null: no room (ConstantMemory::is_exhausted says why), or with a Python exception set, which is MemoryError or, for
  // what cannot be hashed, TypeError.
  PyObject* Int(int64_t value);
  PyObject* BigInt(std::string_view little_endian);
  PyObject* Float(double value);
  PyObject* Complex(double real, double imag);
  PyObject* Bytes(std::string_view bytes);
  // Requires channels::IsText(kind), and that `text` is of that kind.
  PyObject* Text(channels::Kind kind, std::string_view text);
  // An exact str.
  PyObject* Str(PyObject* text);
  PyObject* Tuple(std::span<PyObject* const> items);
  PyObject* FrozenSet(std::span<PyObject* const> items);
  // Of keys and values in turn. Of equal keys, as in a dict, the first key and the last value stay.
  PyObject* Mapping(std::span<PyObject* const> keys_and_values);

  // Objects that it has written.
  int64_t object_count() const { return object_count_; }

 private:
  // With the header of an object that refers to others, where it `is_container`. Null: no room.
  template <typename Object>
  Object* New(PyTypeObject* type, size_t size, bool is_container);
  // Characters as they lie in a str; `utf8` is null where there is no such form.
  PyObject* Characters(channels::Kind kind, std::string_view characters, const std::string_view* utf8);
  // A copy of an object that is one piece of memory and refers to nothing.
  PyObject* Copy(PyObject* object, size_t size);
  PyObject* Dict(std::span<PyObject* const> keys_and_values);

  // Strings that were written lately, by their hash: names of fields come again and again.
  struct Recent {
    Py_hash_t hash;
    PyObject* object;
  };
  static constexpr size_t kRecent = 4096;

  ConstantMemory& memory_;
  int64_t object_count_ = 0;
  std::array<Recent, kRecent> recent_{};
};

// Whether reference counting leaves the object alone: of a constant, or CPython's own.
inline bool IsImmortal(PyObject* object) { return static_cast<int32_t>(object->ob_refcnt) < 0; }

// Whether an object of a constant can be a key. A mapping cannot, nor can what holds one: such a tuple has no hash to
// keep.
bool IsHashable(PyObject* object);

// The dict behind a types.MappingProxyType; null if something else is behind it.
PyObject* DictBehind(PyObject* mapping_proxy);

// The UTF-8 form that a str of a constant carries; no data if it has none (lone surrogates).
std::string_view CarriedUtf8(PyObject* text);

}  // namespace interpd::interp

#endif  // INTERPD_INTERP_CONSTANT_LAYOUT_H_
