#include "interp/constant_content.h"

#include <openssl/evp.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/log/check.h"
#include "absl/strings/escaping.h"
#include "interp/constant_layout.h"

namespace interpd::interp {
namespace {

using channels::Kind;

// Without bytes that only repeat the sign.
std::string_view Shortest(std::string_view little_endian) {
  auto repeats = [&](size_t last) { return little_endian[last] == (little_endian[last - 1] < 0 ? char{-1} : char{0}); };
  while (little_endian.size() > 1 && repeats(little_endian.size() - 1)) little_endian.remove_suffix(1);
  return little_endian;
}

// The two's complement of an int beyond 64 bits, little-endian.
std::string BigIntBytes(PyObject* number) {
  const Py_ssize_t size = PyLong_AsNativeBytes(number, nullptr, 0, Py_ASNATIVEBYTES_LITTLE_ENDIAN);
  std::string bytes(static_cast<size_t>(size), '\0');
  PyLong_AsNativeBytes(number, bytes.data(), size, Py_ASNATIVEBYTES_LITTLE_ENDIAN);
  bytes.resize(Shortest(bytes).size());
  return bytes;
}

// True: it fits 64 bits.
bool SmallInt(PyObject* number, int64_t* value) {
  int overflow = 0;
  *value = PyLong_AsLongLongAndOverflow(number, &overflow);
  return overflow == 0;
}

std::string_view BytesOf(PyObject* bytes) {
  return {PyBytes_AS_STRING(bytes), static_cast<size_t>(PyBytes_GET_SIZE(bytes))};
}

// Calls `use` with the text as UTF-8 and its kind: kAsciiStr, kStr, or kSurrogateStr.
template <typename Use>
auto WithUtf8(PyObject* text, Use&& use) {
  // One that is CPython's own, a single character, may not carry the form, or another thread may be writing it.
  if (PyUnicode_IS_ASCII(text)) return use(CarriedUtf8(text), Kind::kAsciiStr);
  const int width = PyUnicode_KIND(text);
  const bool own = PyUnicode_GET_LENGTH(text) > 1 || width > 1;
  if (const std::string_view utf8 = own ? CarriedUtf8(text) : std::string_view(); utf8.data() != nullptr) {
    return use(utf8, Kind::kStr);
  }
  std::string utf8;
  const Kind kind =
      channels::AppendUtf8({.kind = width == 1   ? Kind::kUcs1Str
                                    : width == 2 ? Kind::kUcs2Str
                                                 : Kind::kUcs4Str,
                            .bytes = {static_cast<const char*>(PyUnicode_DATA(text)),
                                      static_cast<size_t>(PyUnicode_GET_LENGTH(text)) * static_cast<size_t>(width)}},
                           &utf8);
  return use(std::string_view(utf8), kind);
}

// A mapping's dict, which hosted code may have got hold of by itself.
PyObject* DictOf(PyObject* mapping) { return Py_TYPE(mapping) == &PyDict_Type ? mapping : DictBehind(mapping); }

// Each item in turn; of a mapping, keys and values. Stops when `use` returns false, and returns that.
template <typename Use>
bool EachItem(PyObject* container, Use&& use) {
  PyTypeObject* type = Py_TYPE(container);
  if (type == &PyTuple_Type) {
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(container); ++i) {
      if (!use(PyTuple_GET_ITEM(container, i))) return false;
    }
  } else if (type == &PyFrozenSet_Type) {
    const auto* set = reinterpret_cast<const PySetObject*>(container);
    for (Py_ssize_t i = 0; i <= set->mask; ++i) {
      if (set->table[i].key != nullptr && !use(set->table[i].key)) return false;
    }
  } else {
    Py_ssize_t position = 0;
    PyObject* key;
    PyObject* value;
    while (PyDict_Next(DictOf(container), &position, &key, &value)) {
      if (!use(key) || !use(value)) return false;
    }
  }
  return true;
}

size_t ItemCount(PyObject* container) {
  PyTypeObject* type = Py_TYPE(container);
  if (type == &PyTuple_Type) return static_cast<size_t>(PyTuple_GET_SIZE(container));
  if (type == &PyFrozenSet_Type) return static_cast<size_t>(PySet_GET_SIZE(container));
  return 2 * static_cast<size_t>(PyDict_GET_SIZE(DictOf(container)));
}

// ---- digest -------------------------------------------------------------------------------------------------------

using Digest = std::array<unsigned char, 32>;

// As the little-endian numbers they are.
void AddTo(Digest* sum, const Digest& digest) {
  unsigned carry = 0;
  for (size_t i = 0; i < sum->size(); ++i) {
    carry += (*sum)[i] + digest[i];
    (*sum)[i] = static_cast<unsigned char>(carry);
    carry >>= 8;
  }
}

// SHA-256 of what is added. Short messages, which are most, take one pass over one buffer.
class Hash {
 public:
  Hash() : context_(EVP_MD_CTX_new()) { CHECK(context_ != nullptr) << "out of memory"; }
  ~Hash() { EVP_MD_CTX_free(context_); }
  Hash(const Hash&) = delete;
  Hash& operator=(const Hash&) = delete;

  void Add(std::string_view bytes) {
    if (buffer_.size() + bytes.size() > kBuffered) {
      Flush();
      if (bytes.size() > kBuffered) {
        CHECK(EVP_DigestUpdate(context_, bytes.data(), bytes.size()));
        return;
      }
    }
    buffer_.append(bytes);
  }
  void Add(char letter) { Add(std::string_view(&letter, 1)); }
  void AddNumber(uint64_t number) { Add({reinterpret_cast<const char*>(&number), sizeof(number)}); }

  // Begins anew afterwards.
  Digest Finish() {
    Digest digest;
    Flush();
    CHECK(EVP_DigestFinal_ex(context_, digest.data(), nullptr));
    begun_ = false;
    return digest;
  }

 private:
  static constexpr size_t kBuffered = 8192;

  void Flush() {
    static const EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
    if (!begun_) CHECK(EVP_DigestInit_ex2(context_, algorithm, nullptr));
    begun_ = true;
    CHECK(EVP_DigestUpdate(context_, buffer_.data(), buffer_.size()));
    buffer_.clear();
  }

  EVP_MD_CTX* const context_;
  std::string buffer_;
  bool begun_ = false;
};

class Digester {
 public:
  explicit Digester(bool has_shared) : has_shared_(has_shared) {}

  Digest Run(PyObject* root) {
    if (IsContainer(root)) return Container(root, 0);
    AddItem(root, 0, &At(0));
    return At(0).Finish();
  }

 private:
  static bool IsContainer(PyObject* object) {
    PyTypeObject* type = Py_TYPE(object);
    return type == &PyTuple_Type || type == &PyFrozenSet_Type || type == &PyDictProxy_Type;
  }
  static char LetterOf(PyObject* container) {
    PyTypeObject* type = Py_TYPE(container);
    return type == &PyTuple_Type ? 't' : type == &PyFrozenSet_Type ? 'z' : 'm';
  }

  // Each level of nesting has a hash under way, and one for items of a set.
  Hash& At(size_t level) {
    while (levels_.size() <= level) levels_.push_back(std::make_unique<Hash>());
    return *levels_[level];
  }

  Digest Container(PyObject* object, size_t level) {
    if (has_shared_) {
      if (auto known = known_.find(object); known != known_.end()) return known->second;
    }
    Hash& hash = At(2 * level);
    hash.Add(LetterOf(object));
    hash.AddNumber(ItemCount(object));
    if (Py_TYPE(object) == &PyFrozenSet_Type) {
      Digest sum{};
      EachItem(object, [&](PyObject* item) {
        Hash& one = At(2 * level + 1);
        AddItem(item, level + 1, &one);
        AddTo(&sum, one.Finish());
        return true;
      });
      Add(sum, &hash);
    } else {
      EachItem(object, [&](PyObject* item) { return AddItem(item, level + 1, &hash), true; });
    }
    const Digest digest = hash.Finish();
    if (has_shared_) known_.emplace(object, digest);
    return digest;
  }

  static void Add(const Digest& digest, Hash* hash) {
    hash->Add({reinterpret_cast<const char*>(digest.data()), digest.size()});
  }
  static void AddSized(char letter, std::string_view bytes, Hash* hash) {
    hash->Add(letter);
    hash->AddNumber(bytes.size());
    hash->Add(bytes);
  }

  void AddItem(PyObject* item, size_t level, Hash* hash) {
    PyTypeObject* type = Py_TYPE(item);
    if (item == Py_None) {
      hash->Add('N');
    } else if (type == &PyBool_Type) {
      hash->Add(item == Py_True ? 'T' : 'F');
    } else if (type == &PyLong_Type) {
      AddInt(item, hash);
    } else if (type == &PyFloat_Type) {
      hash->Add('f');
      AddDouble(PyFloat_AS_DOUBLE(item), hash);
    } else if (type == &PyComplex_Type) {
      const Py_complex number = reinterpret_cast<PyComplexObject*>(item)->cval;
      hash->Add('c');
      AddDouble(number.real, hash);
      AddDouble(number.imag, hash);
    } else if (type == &PyUnicode_Type) {
      WithUtf8(item, [&](std::string_view utf8, Kind) { AddSized('s', utf8, hash); });
    } else if (type == &PyBytes_Type) {
      AddSized('b', BytesOf(item), hash);
    } else {
      hash->Add(LetterOf(item));
      Add(Container(item, level), hash);
    }
  }

  static void AddDouble(double number, Hash* hash) {
    uint64_t bits;
    std::memcpy(&bits, &number, sizeof(bits));
    hash->AddNumber(bits);
  }

  static void AddInt(PyObject* item, Hash* hash) {
    int64_t number;
    if (!SmallInt(item, &number)) return AddSized('i', BigIntBytes(item), hash);
    AddSized('i', Shortest({reinterpret_cast<const char*>(&number), sizeof(number)}), hash);
  }

  const bool has_shared_;
  std::vector<std::unique_ptr<Hash>> levels_;
  absl::flat_hash_map<PyObject*, Digest> known_;
};

}  // namespace

std::string ContentDigest(PyObject* root, bool has_shared) {
  const Digest digest = Digester(has_shared).Run(root);
  return absl::BytesToHexString({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

// ---- Value --------------------------------------------------------------------------------------------------------

bool AppendContent(PyObject* object, size_t max_bytes, channels::ValueBuilder* builder) {
  PyTypeObject* type = Py_TYPE(object);
  auto add = [&](Kind kind, std::string_view bytes) {
    if (builder->size() + bytes.size() > max_bytes) return false;
    builder->Text(kind, bytes);
    return true;
  };
  if (builder->size() + 16 > max_bytes) return false;
  if (object == Py_None) return builder->None(), true;
  if (type == &PyBool_Type) return builder->Bool(object == Py_True), true;
  if (type == &PyLong_Type) {
    int64_t number;
    if (SmallInt(object, &number)) return builder->Int(number), true;
    return add(Kind::kBigInt, BigIntBytes(object));
  }
  if (type == &PyFloat_Type) return builder->Float(PyFloat_AS_DOUBLE(object)), true;
  if (type == &PyComplex_Type) {
    const Py_complex number = reinterpret_cast<PyComplexObject*>(object)->cval;
    return builder->Complex(number.real, number.imag), true;
  }
  if (type == &PyUnicode_Type) {
    return WithUtf8(object, [&](std::string_view utf8, Kind kind) { return add(kind, utf8); });
  }
  if (type == &PyBytes_Type) return add(Kind::kBytes, BytesOf(object));
  builder->Begin(type == &PyTuple_Type       ? Kind::kTuple
                 : type == &PyFrozenSet_Type ? Kind::kFrozenSet
                                             : Kind::kDict,
                 ItemCount(object));
  return EachItem(object, [&](PyObject* item) { return AppendContent(item, max_bytes, builder); });
}

}  // namespace interpd::interp
