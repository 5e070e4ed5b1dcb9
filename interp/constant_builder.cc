#include "interp/constant_builder.h"

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "channels/error.h"
#include "interp/constant_content.h"
#include "interp/constant_layout.h"

namespace interpd::interp {
namespace {

using channels::Kind;
using channels::Node;
using channels::Ref;
using channels::Value;
using channels::ValueReader;

// Longer texts are found again by their identity, shorter ones by what they say (ConstantLayout).
constexpr Py_ssize_t kLongText = 64;
// Nodes between two calls of `progress`.
constexpr int kNodesAStep = 8192;
constexpr size_t kLongestKeyInPath = 60;

// What both sources share: the objects that are done and wait for their container, and what went wrong. Fails once; the
// path to the culprit is put together while the recursion unwinds.
class Assembler {
 protected:
  explicit Assembler(const ConstantLimits& limits) : limits_(limits), memory_(limits.max_bytes), layout_(&memory_) {
    // Every constant has an address of its own, even one that is nothing but None.
    memory_.Allocate(sizeof(void*));
  }

  bool Push(PyObject* made) {
    if (made == nullptr) return NoRoom();
    done_.push_back(made);
    return true;
  }

  // Makes one container of the objects from `first` on.
  bool Close(Kind kind, size_t first) {
    const std::span<PyObject* const> items = std::span(done_).subspan(first);
    PyObject* made = nullptr;
    switch (kind) {
      case Kind::kTuple:
      case Kind::kList: made = layout_.Tuple(items); break;
      case Kind::kSet:
      case Kind::kFrozenSet:
        for (PyObject* item : items) {
          if (!IsHashable(item)) return Unhashable(item, "{...}");
        }
        made = layout_.FrozenSet(items);
        break;
      default:
        for (size_t i = 0; i < items.size(); i += 2) {
          if (!IsHashable(items[i])) return Unhashable(items[i], ".keys()");
        }
        made = layout_.Mapping(items);
        break;
    }
    done_.resize(first);
    return Push(made);
  }

  bool Fail(std::string_view type, std::string problem) {
    problem_ = Problem::kRefused;
    type_ = type;
    text_ = std::move(problem);
    return false;
  }
  bool TooDeep(std::string_view type) {
    return Fail(type, absl::StrCat("it is nested deeper than ", limits_.max_depth, " levels"));
  }
  bool Cancel() {
    problem_ = Problem::kCancelled;
    return false;
  }
  bool Below(std::string_view step) {
    path_.insert(0, step);
    return false;
  }

  absl::StatusOr<Ref<BuiltConstant>> Finish(bool built) {
    if (!built) return Error();
    PyObject* root = done_.back();
    ConstantFacts facts{.digest = ContentDigest(root, has_shared_),
                        .type_name = Py_TYPE(root)->tp_name,
                        .object_count = layout_.object_count()};
    if (!memory_.Seal()) return NotEnoughMemory();
    facts.byte_count = static_cast<int64_t>(memory_.size());
    return channels::MakeRef<BuiltConstant>(std::move(facts), std::move(memory_), root);
  }

  const ConstantLimits& limits_;
  ConstantMemory memory_;
  ConstantLayout layout_;
  std::vector<PyObject*> done_;
  bool has_shared_ = false;  // some container is in several places

 private:
  enum class Problem { kNone, kRefused, kTooLarge, kNoMemory, kCancelled };

  bool NoRoom() {
    problem_ = PyErr_Occurred() != nullptr || memory_.is_exhausted() ? Problem::kNoMemory : Problem::kTooLarge;
    PyErr_Clear();
    return false;
  }

  bool Unhashable(PyObject* key, std::string_view step) {
    Fail(Py_TYPE(key)->tp_name, "what is a key or in a set must be hashable, and a read-only mapping is not");
    return Below(step);
  }

  static absl::Status NotEnoughMemory() {
    return absl::ResourceExhaustedError("there is not enough memory for the constant");
  }

  absl::Status Error() const {
    const std::string where = path_.empty() ? "the value" : absl::StrCat("the element at ", path_);
    switch (problem_) {
      case Problem::kTooLarge:
        return channels::MakeError(
            absl::StatusCode::kResourceExhausted, "CONSTANT_TOO_LARGE",
            absl::StrCat("the constant is larger than the limit of ", limits_.max_bytes, " bytes; ", where,
                         " has no room any more"),
            {{"path", path_}, {"bytes", absl::StrCat(memory_.used())}, {"limit", absl::StrCat(limits_.max_bytes)}});
      case Problem::kNoMemory: return NotEnoughMemory();
      case Problem::kCancelled: return absl::CancelledError("the constant was not built to its end");
      default:
        return channels::MakeError(absl::StatusCode::kFailedPrecondition, "VALUE_NOT_SHAREABLE",
                                   absl::StrCat(where, " cannot be in a constant: ", text_),
                                   {{"path", path_}, {"type", type_}});
    }
  }

  Problem problem_ = Problem::kNone;
  std::string path_;
  std::string type_;
  std::string text_;
};

constexpr char kWhatCanBe[] =
    " cannot; what can are None, bool, int, float, complex, str, bytes, tuple, list, set, frozenset, dict and "
    "types.MappingProxyType";

// ---- from a Value -------------------------------------------------------------------------------------------------

class ValueAssembler : private Assembler {
 public:
  ValueAssembler(const Value& value, const ConstantLimits& limits, absl::AnyInvocable<bool(double)> progress)
      : Assembler(limits), reader_(value), all_(reader_.remaining()), progress_(std::move(progress)) {}

  absl::StatusOr<Ref<BuiltConstant>> Run() { return Finish(Write(reader_, reader_.Next(), 0)); }

 private:
  bool Write(ValueReader& reader, const Node& node, int depth) {
    if (progress_ && ++nodes_ % kNodesAStep == 0 && !progress_(Part())) return Cancel();
    switch (node.kind) {
      case Kind::kNone: return Push(Py_None);
      case Kind::kBool: return Push(node.bool_value ? Py_True : Py_False);
      case Kind::kInt: return Push(layout_.Int(node.int_value));
      case Kind::kBigInt: return Push(layout_.BigInt(node.bytes));
      case Kind::kFloat: return Push(layout_.Float(node.real));
      case Kind::kComplex: return Push(layout_.Complex(node.real, node.imag));
      case Kind::kAsciiStr:
      case Kind::kStr:
      case Kind::kSurrogateStr:
      case Kind::kUcs1Str:
      case Kind::kUcs2Str:
      case Kind::kUcs4Str: return Push(layout_.Text(node.kind, node.bytes));
      case Kind::kBytes: return Push(layout_.Bytes(node.bytes));
      case Kind::kConstant: {
        Value content;
        if (!static_cast<channels::ConstantRef*>(node.shared)->Expand(limits_.max_bytes, &content)) {
          return Push(nullptr);
        }
        ValueReader inner(content);
        return Write(inner, inner.Next(), depth);
      }
      case Kind::kPickle:
      case Kind::kBuffer:
      case Kind::kChannel:
        return Fail(channels::TypeName(node.kind), absl::StrCat("a ", channels::TypeName(node.kind), kWhatCanBe));
      case Kind::kDict: return WriteDict(reader, node, depth);
      default: return WriteSequence(reader, node, depth);
    }
  }

  bool WriteSequence(ValueReader& reader, const Node& node, int depth) {
    if (depth >= limits_.max_depth) return TooDeep(channels::TypeName(node.kind));
    const size_t first = done_.size();
    const bool has_places = node.kind == Kind::kTuple || node.kind == Kind::kList;
    for (size_t i = 0; i < node.count; ++i) {
      if (!Write(reader, reader.Next(), depth + 1)) return Below(has_places ? absl::StrCat("[", i, "]") : "{...}");
    }
    return Close(node.kind, first);
  }

  bool WriteDict(ValueReader& reader, const Node& node, int depth) {
    if (depth >= limits_.max_depth) return TooDeep(channels::TypeName(node.kind));
    const size_t first = done_.size();
    for (size_t i = 0; i < node.count; i += 2) {
      const Node key = reader.Next();
      if (!Write(reader, key, depth + 1)) return Below(".keys()");
      if (!Write(reader, reader.Next(), depth + 1)) return Below(Subscript(key));
    }
    return Close(node.kind, first);
  }

  static std::string Subscript(const Node& key) {
    if (key.kind == Kind::kInt) return absl::StrCat("[", key.int_value, "]");
    if (!channels::IsText(key.kind)) return "[...]";
    std::string text(key.bytes);
    if (channels::IsUcs(key.kind)) {
      text.clear();
      channels::AppendUtf8(key, &text);
    }
    if (text.size() > kLongestKeyInPath) return "[...]";
    return absl::StrCat("['", absl::Utf8SafeCHexEscape(text), "']");
  }

  double Part() const {
    return all_ == 0 ? 1 : 1 - static_cast<double>(reader_.remaining()) / static_cast<double>(all_);
  }

  ValueReader reader_;
  const size_t all_;
  absl::AnyInvocable<bool(double)> progress_;
  int nodes_ = 0;
};

// ---- from Python objects ------------------------------------------------------------------------------------------

class ObjectAssembler : private Assembler {
 public:
  explicit ObjectAssembler(const ConstantLimits& limits) : Assembler(limits) {}

  absl::StatusOr<Ref<BuiltConstant>> Run(PyObject* object) { return Finish(Write(object)); }

 private:
  bool Write(PyObject* object) {
    if (object == Py_None || PyBool_Check(object)) return Push(object);
    if (PyLong_Check(object)) return WriteInt(object);
    if (PyUnicode_Check(object)) {
      if (PyUnicode_GET_LENGTH(object) <= kLongText) return Push(layout_.Str(object));
      return Once(object, [&] { return Push(layout_.Str(object)); });
    }
    if (PyFloat_Check(object)) return Push(layout_.Float(PyFloat_AS_DOUBLE(object)));
    if (PyBytes_Check(object)) {
      const std::string_view bytes(PyBytes_AS_STRING(object), static_cast<size_t>(PyBytes_GET_SIZE(object)));
      return Once(object, [&] { return Push(layout_.Bytes(bytes)); });
    }
    if (PyComplex_Check(object)) {
      const Py_complex number = reinterpret_cast<PyComplexObject*>(object)->cval;
      return Push(layout_.Complex(number.real, number.imag));
    }
    if (PyTuple_Check(object)) return Container(object, Kind::kTuple, object);
    if (PyList_Check(object)) return Container(object, Kind::kList, object);
    if (PyDict_Check(object)) return Container(object, Kind::kDict, object);
    if (PyAnySet_Check(object)) return Container(object, Kind::kFrozenSet, object);
    if (Py_TYPE(object) == &PyDictProxy_Type) {
      if (PyObject* dict = DictBehind(object)) return Container(object, Kind::kDict, dict);
      return Fail("mappingproxy", "what is behind the mappingproxy is no dict");
    }
    return Fail(Py_TYPE(object)->tp_name, absl::StrCat("a ", Py_TYPE(object)->tp_name, kWhatCanBe));
  }

  bool WriteInt(PyObject* object) {
    int overflow = 0;
    const long long value = PyLong_AsLongLongAndOverflow(object, &overflow);
    if (overflow == 0) return Push(layout_.Int(value));
    const Py_ssize_t size = PyLong_AsNativeBytes(object, nullptr, 0, Py_ASNATIVEBYTES_LITTLE_ENDIAN);
    std::string bytes(static_cast<size_t>(size), '\0');
    PyLong_AsNativeBytes(object, bytes.data(), size, Py_ASNATIVEBYTES_LITTLE_ENDIAN);
    return Push(layout_.BigInt(bytes));
  }

  // What somebody else refers to, too, may come again: then it is the same object.
  template <typename Make>
  bool Once(PyObject* object, Make&& make) {
    if (Py_REFCNT(object) == 1) return make();
    if (auto known = made_.find(object); known != made_.end()) {
      has_shared_ |= !PyUnicode_Check(object) && !PyBytes_Check(object);
      return Push(known->second);
    }
    if (!make()) return false;
    made_.emplace(object, done_.back());
    return true;
  }

  bool Container(PyObject* object, Kind kind, PyObject* content) {
    for (PyObject* ancestor : ancestors_) {
      if (ancestor == object) {
        return Fail(Py_TYPE(object)->tp_name, absl::StrCat("the ", Py_TYPE(object)->tp_name, " contains itself"));
      }
    }
    if (static_cast<int>(ancestors_.size()) >= limits_.max_depth) return TooDeep(Py_TYPE(object)->tp_name);
    return Once(object, [&] {
      ancestors_.push_back(object);
      const size_t first = done_.size();
      const bool written = kind == Kind::kDict        ? WriteDict(content)
                           : kind == Kind::kFrozenSet ? WriteSet(content)
                                                      : WriteSequence(content);
      ancestors_.pop_back();
      return written && Close(kind, first);
    });
  }

  bool WriteSequence(PyObject* sequence) {
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(sequence); ++i) {
      if (!Write(PySequence_Fast_GET_ITEM(sequence, i))) return Below(absl::StrCat("[", i, "]"));
    }
    return true;
  }

  bool WriteSet(PyObject* set) {
    // The table itself: an iterator of a subclass might be Python code. A hash of -1 marks what was removed.
    const auto* table = reinterpret_cast<const PySetObject*>(set);
    for (Py_ssize_t i = 0; i <= table->mask; ++i) {
      const setentry& entry = table->table[i];
      if (entry.key != nullptr && entry.hash != -1 && !Write(entry.key)) return Below("{...}");
    }
    return true;
  }

  bool WriteDict(PyObject* dict) {
    Py_ssize_t position = 0;
    PyObject* key;
    PyObject* value;
    while (PyDict_Next(dict, &position, &key, &value)) {
      if (!Write(key)) return Below(".keys()");
      if (!Write(value)) return Below(Subscript(key));
    }
    return true;
  }

  // "['owner']" or "[7]"; "[...]" for what has no short name.
  static std::string Subscript(PyObject* key) {
    if (!PyUnicode_CheckExact(key) && !PyLong_CheckExact(key)) return "[...]";
    PyRef repr = PyRef::Steal(PyObject_Repr(key));
    const char* text = repr ? PyUnicode_AsUTF8(repr.get()) : nullptr;
    PyErr_Clear();
    if (text == nullptr || std::string_view(text).size() > kLongestKeyInPath) return "[...]";
    return absl::StrCat("[", text, "]");
  }

  std::vector<PyObject*> ancestors_;                // the containers being written, borrowed
  absl::flat_hash_map<PyObject*, PyObject*> made_;  // borrowed object -> that of the constant
};

}  // namespace

absl::StatusOr<Ref<BuiltConstant>> BuildConstant(const Value& value, const ConstantLimits& limits,
                                                 absl::AnyInvocable<bool(double)> progress) {
  return ValueAssembler(value, limits, std::move(progress)).Run();
}

absl::StatusOr<Ref<BuiltConstant>> BuildConstant(PyObject* object, const ConstantLimits& limits) {
  return ObjectAssembler(limits).Run(object);
}

}  // namespace interpd::interp
