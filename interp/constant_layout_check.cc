// Whether this CPython lays objects out as constant_layout.cc does.
#include <cstring>
#include <string>
#include <tuple>
#include <vector>

#include "interp/constant_layout.h"
#include "interp/cpython_layout.h"

namespace interpd::interp {

using channels::Kind;

namespace {

// Whether a dict that CPython makes of these has the table of `ours`, bit by bit.
bool SameDict(PyObject* ours, std::span<PyObject* const> keys_and_values) {
  PyRef real = PyRef::Steal(PyDict_New());
  for (size_t i = 0; real && i < keys_and_values.size(); i += 2) {
    if (PyDict_SetItem(real.get(), keys_and_values[i], keys_and_values[i + 1]) < 0) return false;
  }
  PyRef proxy = real ? PyRef::Steal(PyDictProxy_New(real.get())) : PyRef();
  if (!proxy || DictBehind(proxy.get()) != real.get()) return false;
  PyRef size = PyRef::Steal(PyObject_CallMethod(real.get(), "__sizeof__", nullptr));
  auto* our_dict = reinterpret_cast<PyDictObject*>(DictBehind(ours));
  auto* real_dict = reinterpret_cast<PyDictObject*>(real.get());
  if (keys_and_values.empty()) return our_dict->ma_keys == real_dict->ma_keys;
  auto* keys = reinterpret_cast<DictKeys*>(our_dict->ma_keys);
  auto* real_keys = reinterpret_cast<DictKeys*>(real_dict->ma_keys);
  const size_t entry = keys->kind == kStrKeys ? sizeof(StrEntry) : sizeof(GeneralEntry);
  const size_t bytes =
      sizeof(DictKeys) + (size_t{1} << keys->log2_index_bytes) + Usable(size_t{1} << keys->log2_size) * entry;
  const size_t used_bytes = (size_t{1} << keys->log2_index_bytes) + static_cast<size_t>(keys->entry_count) * entry;
  auto head = [](const DictKeys& k) {
    return std::tuple(k.reference_count, k.log2_size, k.log2_index_bytes, k.kind, k.version, k.usable, k.entry_count);
  };
  return size && PyLong_AsSize_t(size.get()) == sizeof(PyDictObject) + bytes &&
         real_dict->ma_used == our_dict->ma_used && head(*real_keys) == head(*keys) &&
         std::memcmp(real_keys->indices(), keys->indices(), used_bytes) == 0;
}

// What sys.getsizeof counts and an object's own __sizeof__ does not.
bool GcHeadFits() {
  PyRef empty = PyRef::Steal(PyTuple_New(0));
  PyRef own = empty ? PyRef::Steal(PyObject_CallMethod(empty.get(), "__sizeof__", nullptr)) : PyRef();
  PyObject* getsizeof = PySys_GetObject("getsizeof");
  PyRef all = own && getsizeof != nullptr ? PyRef::Steal(PyObject_CallOneArg(getsizeof, empty.get())) : PyRef();
  return all && PyLong_AsSize_t(all.get()) == PyLong_AsSize_t(own.get()) + sizeof(GcHead);
}

}  // namespace

bool ConstantLayout::FitsThisPython() {
  ConstantMemory memory(size_t{1} << 20);
  ConstantLayout layout(&memory);
  bool fits = PyDictProxy_Type.tp_basicsize == sizeof(MappingProxy) && GcHeadFits();
  // Each width of indices, both kinds of keys, and a key that comes twice.
  for (size_t count : {0, 1, 6, 600}) {
    for (bool all_str : {true, false}) {
      std::vector<PyObject*> items;
      for (size_t i = 0; i < count && fits; ++i) {
        const auto number = static_cast<int64_t>(i * 7919);
        items.push_back(all_str || i % 3 == 0 ? layout.Text(Kind::kAsciiStr, "key " + std::to_string(number))
                                              : layout.Int(number));
        items.push_back(layout.Int(-number));
        fits = items[items.size() - 2] != nullptr && items.back() != nullptr;
      }
      if (fits && count == 6) items.insert(items.end(), {items[2], items[1]});
      PyObject* mapping = fits ? layout.Mapping(items) : nullptr;
      fits = mapping != nullptr && SameDict(mapping, items);
    }
  }
  PyErr_Clear();
  return fits;
}

}  // namespace interpd::interp
