#include "interp/constant_layout.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "absl/log/check.h"
#include "interp/cpython_layout.h"

namespace interpd::interp {
namespace {

using channels::Kind;

constexpr uint8_t kInternedForGood = SSTATE_INTERNED_IMMORTAL_STATIC;

Py_hash_t HashOf(const GeneralEntry& entry) { return entry.hash; }
Py_hash_t HashOf(const StrEntry& entry) { return reinterpret_cast<PyASCIIObject*>(entry.key)->hash; }

StrEntry MakeEntry(PyObject* key, PyObject* value, StrEntry*) { return {key, value}; }
GeneralEntry MakeEntry(PyObject* key, PyObject* value, GeneralEntry*) { return {PyObject_Hash(key), key, value}; }

// Fills the table. False with an exception set.
template <typename Index, typename Entry>
bool Fill(DictKeys* keys, std::span<PyObject* const> keys_and_values) {
  auto* indices = reinterpret_cast<Index*>(keys->indices());
  auto* entries = reinterpret_cast<Entry*>(keys->entries());
  const size_t mask = (size_t{1} << keys->log2_size) - 1;
  std::fill_n(indices, mask + 1, Index{-1});
  for (size_t i = 0; i < keys_and_values.size(); i += 2) {
    const Entry added = MakeEntry(keys_and_values[i], keys_and_values[i + 1], static_cast<Entry*>(nullptr));
    const Py_hash_t hash = HashOf(added);
    if (hash == -1) return false;
    size_t perturb = static_cast<size_t>(hash);
    size_t place = perturb & mask;
    while (indices[place] >= 0) {
      Entry& there = entries[indices[place]];
      if (HashOf(there) == hash) {
        const int same = PyObject_RichCompareBool(there.key, added.key, Py_EQ);
        if (same < 0) return false;
        if (same > 0) {
          there.value = added.value;
          break;
        }
      }
      perturb >>= 5;
      place = (5 * place + perturb + 1) & mask;
    }
    if (indices[place] >= 0) continue;
    indices[place] = static_cast<Index>(keys->entry_count);
    entries[keys->entry_count++] = added;
  }
  keys->usable = static_cast<Py_ssize_t>(Usable(mask + 1)) - keys->entry_count;
  return true;
}

template <typename Entry>
bool Fill(DictKeys* keys, std::span<PyObject* const> keys_and_values) {
  switch (keys->log2_index_bytes - keys->log2_size) {
    case 0: return Fill<int8_t, Entry>(keys, keys_and_values);
    case 1: return Fill<int16_t, Entry>(keys, keys_and_values);
    case 2: return Fill<int32_t, Entry>(keys, keys_and_values);
    default: return Fill<int64_t, Entry>(keys, keys_and_values);
  }
}

// One of the objects that CPython has once for the whole process.
PyObject* Everybodys(PyObject* object) {
  if (object == nullptr) return nullptr;
  CHECK(IsImmortal(object)) << "CPython makes a private " << Py_TYPE(object)->tp_name;
  return object;
}

}  // namespace

template <typename Object>
Object* ConstantLayout::New(PyTypeObject* type, size_t size, bool is_container) {
  const size_t head = is_container ? sizeof(GcHead) : 0;
  void* place = memory_.Allocate(head + size);
  if (place == nullptr) return nullptr;
  auto* object = reinterpret_cast<PyObject*>(static_cast<char*>(place) + head);
  object->ob_type = type;
  // The flag, too: without it, the interpreter's evaluation stack counts references to an immortal object.
  object->ob_refcnt = _Py_IMMORTAL_INITIAL_REFCNT;
  object->ob_flags = _Py_IMMORTAL_FLAGS;
  ++object_count_;
  return reinterpret_cast<Object*>(object);
}

PyObject* ConstantLayout::Copy(PyObject* object, size_t size) {
  auto* copy = New<PyObject>(Py_TYPE(object), size, /*is_container=*/false);
  if (copy != nullptr) std::memcpy(copy + 1, object + 1, size - sizeof(PyObject));
  return copy;
}

// ---- numbers ------------------------------------------------------------------------------------------------------

PyObject* ConstantLayout::Int(int64_t value) {
  if (value >= -5 && value <= 256) return Everybodys(PyLong_FromLongLong(value));
  digit digits[3];
  size_t count = 0;
  uint64_t rest = value < 0 ? -static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
  while (rest != 0) {
    digits[count++] = static_cast<digit>(rest & PyLong_MASK);
    rest >>= PyLong_SHIFT;
  }
  auto* object = New<PyLongObject>(&PyLong_Type, offsetof(PyLongObject, long_value.ob_digit) + count * sizeof(digit),
                                   /*is_container=*/false);
  if (object == nullptr) return nullptr;
  object->long_value.lv_tag = count << _PyLong_NON_SIZE_BITS | (value < 0 ? 2 : 0);
  std::copy_n(digits, count, object->long_value.ob_digit);
  return reinterpret_cast<PyObject*>(object);
}

PyObject* ConstantLayout::BigInt(std::string_view little_endian) {
  PyRef number =
      PyRef::Steal(PyLong_FromNativeBytes(little_endian.data(), little_endian.size(), Py_ASNATIVEBYTES_LITTLE_ENDIAN));
  if (!number) return nullptr;
  if (IsImmortal(number.get())) return number.get();
  const size_t count = reinterpret_cast<PyLongObject*>(number.get())->long_value.lv_tag >> _PyLong_NON_SIZE_BITS;
  return Copy(number.get(), offsetof(PyLongObject, long_value.ob_digit) + std::max<size_t>(count, 1) * sizeof(digit));
}

PyObject* ConstantLayout::Float(double value) {
  auto* object = New<PyFloatObject>(&PyFloat_Type, sizeof(PyFloatObject), /*is_container=*/false);
  if (object != nullptr) object->ob_fval = value;
  return reinterpret_cast<PyObject*>(object);
}

PyObject* ConstantLayout::Complex(double real, double imag) {
  auto* object = New<PyComplexObject>(&PyComplex_Type, sizeof(PyComplexObject), /*is_container=*/false);
  if (object != nullptr) object->cval = {real, imag};
  return reinterpret_cast<PyObject*>(object);
}

// ---- texts --------------------------------------------------------------------------------------------------------

PyObject* ConstantLayout::Bytes(std::string_view bytes) {
  const auto size = static_cast<Py_ssize_t>(bytes.size());
  if (size <= 1) return Everybodys(PyBytes_FromStringAndSize(bytes.data(), size));
  auto* object =
      New<PyBytesObject>(&PyBytes_Type, offsetof(PyBytesObject, ob_sval) + bytes.size() + 1, /*is_container=*/false);
  if (object == nullptr) return nullptr;
  Py_SET_SIZE(reinterpret_cast<PyVarObject*>(object), size);
  std::memcpy(object->ob_sval, bytes.data(), bytes.size());
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"  // what else but its maker could set it
  object->ob_shash = Py_HashBuffer(bytes.data(), size);
#pragma GCC diagnostic pop
  return reinterpret_cast<PyObject*>(object);
}

PyObject* ConstantLayout::Text(Kind kind, std::string_view text) {
  switch (kind) {
    case Kind::kAsciiStr:
    case Kind::kUcs1Str:
      if (text.empty()) return Everybodys(PyUnicode_New(0, 0));
      if (text.size() == 1) return Everybodys(PyUnicode_FromOrdinal(static_cast<unsigned char>(text[0])));
      if (kind == Kind::kAsciiStr) return Characters(kind, text, &text);
      [[fallthrough]];
    case Kind::kUcs2Str:
    case Kind::kUcs4Str: {
      std::string utf8;
      const bool has_utf8 = channels::AppendUtf8({.kind = kind, .bytes = text}, &utf8) == Kind::kStr;
      const std::string_view view = utf8;
      return Characters(kind, text, has_utf8 ? &view : nullptr);
    }
    default: {
      const auto size = static_cast<Py_ssize_t>(text.size());
      const bool has_utf8 = kind == Kind::kStr;
      PyRef decoded = PyRef::Steal(PyUnicode_DecodeUTF8(text.data(), size, has_utf8 ? "strict" : "surrogatepass"));
      if (!decoded || IsImmortal(decoded.get())) return decoded.get();
      return Str(decoded.get());
    }
  }
}

PyObject* ConstantLayout::Str(PyObject* text) {
  const std::string_view characters(
      static_cast<const char*>(PyUnicode_DATA(text)),
      static_cast<size_t>(PyUnicode_GET_LENGTH(text)) * static_cast<size_t>(PyUnicode_KIND(text)));
  if (PyUnicode_IS_ASCII(text)) return Text(Kind::kAsciiStr, characters);
  switch (PyUnicode_KIND(text)) {
    case PyUnicode_1BYTE_KIND: return Text(Kind::kUcs1Str, characters);
    case PyUnicode_2BYTE_KIND: return Text(Kind::kUcs2Str, characters);
    default: return Text(Kind::kUcs4Str, characters);
  }
}

PyObject* ConstantLayout::Characters(Kind kind, std::string_view characters, const std::string_view* utf8) {
  const size_t width = channels::CharacterSize(kind);
  const auto length = static_cast<Py_ssize_t>(characters.size() / width);
  const Py_hash_t hash = Py_HashBuffer(characters.data(), static_cast<Py_ssize_t>(characters.size()));
  Recent& recent = recent_[static_cast<size_t>(hash) % kRecent];
  if (recent.object != nullptr && recent.hash == hash && PyUnicode_GET_LENGTH(recent.object) == length &&
      static_cast<size_t>(PyUnicode_KIND(recent.object)) == width &&
      std::memcmp(PyUnicode_DATA(recent.object), characters.data(), characters.size()) == 0) {
    return recent.object;
  }

  const bool is_ascii = kind == Kind::kAsciiStr;
  const size_t header = is_ascii ? sizeof(PyASCIIObject) : sizeof(PyCompactUnicodeObject);
  auto* object = New<PyASCIIObject>(&PyUnicode_Type, header + characters.size() + width, /*is_container=*/false);
  if (object == nullptr) return nullptr;
  object->length = length;
  object->hash = hash;
  object->state.interned = kInternedForGood;
  object->state.kind = static_cast<unsigned>(width);  // PyUnicode_1BYTE_KIND is 1, and so on
  object->state.compact = 1;
  object->state.ascii = is_ascii;
  std::memcpy(reinterpret_cast<char*>(object) + header, characters.data(), characters.size());
  if (!is_ascii && utf8 != nullptr) {
    auto* copy = static_cast<char*>(memory_.Allocate(utf8->size() + 1));
    if (copy == nullptr) return nullptr;
    std::memcpy(copy, utf8->data(), utf8->size());
    auto* compact = reinterpret_cast<PyCompactUnicodeObject*>(object);
    compact->utf8 = copy;
    compact->utf8_length = static_cast<Py_ssize_t>(utf8->size());
  }
  recent = {hash, reinterpret_cast<PyObject*>(object)};
  return recent.object;
}

std::string_view CarriedUtf8(PyObject* text) {
  if (PyUnicode_IS_ASCII(text)) {
    return {static_cast<const char*>(PyUnicode_DATA(text)), static_cast<size_t>(PyUnicode_GET_LENGTH(text))};
  }
  auto* compact = reinterpret_cast<PyCompactUnicodeObject*>(text);
  return {compact->utf8, static_cast<size_t>(compact->utf8_length)};
}

// ---- containers ---------------------------------------------------------------------------------------------------

bool IsHashable(PyObject* object) {
  if (Py_TYPE(object) == &PyTuple_Type) {
    return PyTuple_GET_SIZE(object) == 0 || reinterpret_cast<PyTupleObject*>(object)->ob_hash != -1;
  }
  return Py_TYPE(object) != &PyDictProxy_Type;
}

PyObject* ConstantLayout::Tuple(std::span<PyObject* const> items) {
  if (items.empty()) return Everybodys(PyTuple_New(0));
  auto* object = New<PyTupleObject>(&PyTuple_Type, offsetof(PyTupleObject, ob_item) + items.size_bytes(),
                                    /*is_container=*/true);
  if (object == nullptr) return nullptr;
  Py_SET_SIZE(reinterpret_cast<PyVarObject*>(object), static_cast<Py_ssize_t>(items.size()));
  std::copy(items.begin(), items.end(), object->ob_item);
  object->ob_hash = -1;
  auto* tuple = reinterpret_cast<PyObject*>(object);
  // Hashing keeps the hash.
  if (std::all_of(items.begin(), items.end(), IsHashable) && PyObject_Hash(tuple) == -1) return nullptr;
  return tuple;
}

PyObject* ConstantLayout::FrozenSet(std::span<PyObject* const> items) {
  // CPython fills the table; what comes of it is copied.
  PyRef set = PyRef::Steal(PyFrozenSet_New(nullptr));
  if (!set) return nullptr;
  for (PyObject* item : items) {
    if (PySet_Add(set.get(), item) < 0) return nullptr;
  }
  if (PyObject_Hash(set.get()) == -1) return nullptr;
  const auto* made = reinterpret_cast<const PySetObject*>(set.get());
  auto* object = New<PySetObject>(&PyFrozenSet_Type, sizeof(PySetObject), /*is_container=*/true);
  if (object == nullptr) return nullptr;
  object->fill = object->used = made->used;
  object->mask = made->mask;
  object->hash = made->hash;
  object->table = object->smalltable;
  const size_t bytes = (static_cast<size_t>(made->mask) + 1) * sizeof(setentry);
  if (made->table != made->smalltable) {
    object->table = static_cast<setentry*>(memory_.Allocate(bytes));
    if (object->table == nullptr) return nullptr;
  }
  std::memcpy(object->table, made->table, bytes);
  return reinterpret_cast<PyObject*>(object);
}

PyObject* ConstantLayout::Dict(std::span<PyObject* const> keys_and_values) {
  auto* dict = New<PyDictObject>(&PyDict_Type, sizeof(PyDictObject), /*is_container=*/true);
  if (dict == nullptr) return nullptr;
  if (keys_and_values.empty()) {
    // There is one table that all empty dicts share.
    PyRef empty = PyRef::Steal(PyDict_New());
    if (!empty) return nullptr;
    dict->ma_keys = reinterpret_cast<PyDictObject*>(empty.get())->ma_keys;
    return reinterpret_cast<PyObject*>(dict);
  }
  bool all_str = true;
  for (size_t i = 0; i < keys_and_values.size(); i += 2) all_str &= Py_TYPE(keys_and_values[i]) == &PyUnicode_Type;
  uint8_t log2_size = 3;
  while (Usable(size_t{1} << log2_size) < keys_and_values.size() / 2) ++log2_size;
  const uint8_t log2_width = log2_size < 8 ? 0 : log2_size < 16 ? 1 : log2_size < 32 ? 2 : 3;
  const size_t index_bytes = size_t{1} << (log2_size + log2_width);
  const size_t entry_bytes = Usable(size_t{1} << log2_size) * (all_str ? sizeof(StrEntry) : sizeof(GeneralEntry));
  auto* keys = static_cast<DictKeys*>(memory_.Allocate(sizeof(DictKeys) + index_bytes + entry_bytes));
  if (keys == nullptr) return nullptr;
  // The count of references is a dict's own: what copies the table copies it, too.
  *keys = {.reference_count = 1,
           .log2_size = log2_size,
           .log2_index_bytes = static_cast<uint8_t>(log2_size + log2_width),
           .kind = all_str ? kStrKeys : kGeneralKeys,
           .version = 0,
           .usable = 0,
           .entry_count = 0};
  if (!(all_str ? Fill<StrEntry>(keys, keys_and_values) : Fill<GeneralEntry>(keys, keys_and_values))) return nullptr;
  dict->ma_used = keys->entry_count;
  dict->ma_keys = reinterpret_cast<PyDictKeysObject*>(keys);
  return reinterpret_cast<PyObject*>(dict);
}

PyObject* ConstantLayout::Mapping(std::span<PyObject* const> keys_and_values) {
  PyObject* dict = Dict(keys_and_values);
  if (dict == nullptr) return nullptr;
  auto* proxy = New<MappingProxy>(&PyDictProxy_Type, sizeof(MappingProxy), /*is_container=*/true);
  if (proxy != nullptr) proxy->mapping = dict;
  return reinterpret_cast<PyObject*>(proxy);
}

PyObject* DictBehind(PyObject* mapping_proxy) {
  PyObject* mapping = reinterpret_cast<MappingProxy*>(mapping_proxy)->mapping;
  return PyDict_Check(mapping) ? mapping : nullptr;
}

}  // namespace interpd::interp
