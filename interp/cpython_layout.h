// What CPython 3.14 keeps to itself of the objects that constants are made of. ConstantLayout::FitsThisPython compares
// it with the real ones.
//
// Who includes this: constant_layout*.cc alone.
#ifndef INTERPD_INTERP_CPYTHON_LAYOUT_H_
#define INTERPD_INTERP_CPYTHON_LAYOUT_H_

#include <cstddef>
#include <cstdint>

#include "interp/python_api.h"

namespace interpd::interp {

// In front of every object that the garbage collector may look at; zeros: it is not tracked.
struct GcHead {
  uintptr_t next, previous;
};

// Followed by 2^log2_index_bytes bytes of indices and the entries: places in the table, in the order of insertion.
struct DictKeys {
  Py_ssize_t reference_count;
  uint8_t log2_size;
  uint8_t log2_index_bytes;
  uint8_t kind;
  uint32_t version;
  Py_ssize_t usable;
  Py_ssize_t entry_count;

  char* indices() { return reinterpret_cast<char*>(this + 1); }
  char* entries() { return indices() + (size_t{1} << log2_index_bytes); }
};
static_assert(sizeof(DictKeys) == 32);

inline constexpr uint8_t kGeneralKeys = 0;
inline constexpr uint8_t kStrKeys = 1;  // all are exact str, which know their hash

struct GeneralEntry {
  Py_hash_t hash;
  PyObject* key;
  PyObject* value;
};
struct StrEntry {
  PyObject* key;
  PyObject* value;
};

struct MappingProxy {
  PyObject_HEAD PyObject* mapping;
};

// Entries that a table of `size` places takes.
inline constexpr size_t Usable(size_t size) { return size * 2 / 3; }

}  // namespace interpd::interp

#endif  // INTERPD_INTERP_CPYTHON_LAYOUT_H_
