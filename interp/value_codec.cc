#include "interp/value_codec.h"

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "channels/buffer.h"
#include "channels/channel.h"
#include "channels/error.h"
#include "interp/adopted_text.h"
#include "interp/constant.h"
#include "interp/constant_content.h"
#include "interp/host_state.h"

namespace interpd::interp {
namespace {

using channels::Kind;
using channels::Node;
using channels::Value;
using channels::ValueBuilder;
using channels::ValueConsumer;

// What EncodeSimple takes without asking for a limit.
constexpr Py_ssize_t kSimpleBytes = 1 << 20;

// ---- PyObject -> Value --------------------------------------------------------------------------------------------

// Writes one object tree. Fails once; the path to the culprit is put together while the recursion unwinds.
class Encoder {
 public:
  explicit Encoder(const EncodeLimits& limits) : limits_(limits) {}

  absl::StatusOr<Value> Run(PyObject* object) {
    if (Write(object)) return std::move(builder_).Finish();
    std::string where = path_.empty() ? "the value" : absl::StrCat("the element at ", path_);
    return channels::MakeError(absl::StatusCode::kFailedPrecondition, "VALUE_NOT_SHAREABLE",
                               absl::StrCat(where, " cannot cross interpreters: ", problem_),
                               {{"path", path_}, {"type", type_}});
  }

 private:
  bool Fail(PyObject* culprit, std::string problem) {
    PyErr_Clear();
    type_ = Py_TYPE(culprit)->tp_name;
    problem_ = std::move(problem);
    return false;
  }

  bool Write(PyObject* object) {
    if (object == Py_None) return builder_.None(), true;
    if (PyLong_Check(object)) return WriteInt(object);
    if (PyUnicode_Check(object)) return WriteStr(object);
    if (PyFloat_Check(object)) return builder_.Float(PyFloat_AS_DOUBLE(object)), true;
    if (WriteConstant(object)) return true;
    if (PyBytes_Check(object)) {
      size_t size = static_cast<size_t>(PyBytes_GET_SIZE(object));
      if (!Fits(object, size)) return false;
      return builder_.Bytes({PyBytes_AS_STRING(object), size}), true;
    }
    if (PyTuple_Check(object) || PyList_Check(object)) return WriteContainer(object, &Encoder::WriteSequence);
    if (PyDict_Check(object)) return WriteContainer(object, &Encoder::WriteDict);
    if (PyAnySet_Check(object)) return WriteContainer(object, &Encoder::WriteSet);
    if (PyComplex_Check(object)) {
      builder_.Complex(PyComplex_RealAsDouble(object), PyComplex_ImagAsDouble(object));
      return true;
    }
    if (channels::Channel* channel = AsChannel(object)) {
      builder_.Channel(channels::Ref<channels::Channel>::Borrow(channel));
      return true;
    }
    if (BuiltConstant* constant = ConstantOf(object); constant != nullptr) {
      // A mapping of one, for somebody outside.
      return AppendContent(object, limits_.max_bytes, &builder_) || Fits(object, limits_.max_bytes);
    }
    std::string_view why_not;
    if (channels::Ref<channels::Shared> view = AsBufferView(object, &why_not)) {
      return builder_.Buffer(std::move(view)), true;
    }
    if (!why_not.empty()) return Fail(object, std::string(why_not));
    return Fail(object, absl::StrCat(
                            "a ", Py_TYPE(object)->tp_name, " is not shareable (shareable are None, bool, int, ",
                            "float, complex, str, bytes, tuple, list, set, frozenset, dict, memoryview and channels)"));
  }

  // The constant that the object is of; null if of none.
  BuiltConstant* ConstantOf(PyObject* object) {
    if (!BuiltConstant::MayOwn(object)) return nullptr;
    if (link_ == nullptr) link_ = InterpreterLink::Current();
    return link_ == nullptr ? nullptr : link_->seen_constants().Find(object);
  }

  // False: it does not travel by reference, for one reason or another.
  bool WriteConstant(PyObject* object) {
    if (!limits_.between_interpreters) return false;
    BuiltConstant* constant = ConstantOf(object);
    if (constant == nullptr) return false;
    builder_.Constant(channels::MakeRef<ConstantObject>(channels::Ref<BuiltConstant>::Borrow(constant), object));
    return true;
  }

  // Whether `bytes` more are within the limit.
  bool Fits(PyObject* object, size_t bytes) {
    if (builder_.size() + bytes <= limits_.max_bytes) return true;
    return Fail(object, absl::StrCat("it is larger than the limit of ", limits_.max_bytes, " bytes"));
  }

  bool WriteInt(PyObject* object) {
    if (PyBool_Check(object)) return builder_.Bool(object == Py_True), true;
    int overflow = 0;
    long long value = PyLong_AsLongLongAndOverflow(object, &overflow);
    if (overflow == 0) return builder_.Int(value), true;
    Py_ssize_t size = PyLong_AsNativeBytes(object, nullptr, 0, Py_ASNATIVEBYTES_LITTLE_ENDIAN);
    if (size < 0 || !Fits(object, static_cast<size_t>(size))) return Fail(object, "the int is too large");
    std::string bytes(static_cast<size_t>(size), '\0');
    PyLong_AsNativeBytes(object, bytes.data(), size, Py_ASNATIVEBYTES_LITTLE_ENDIAN);
    return builder_.BigInt(bytes), true;
  }

  bool WriteStr(PyObject* object) {
    if (WriteConstant(object)) return true;
    if (!Fits(object, static_cast<size_t>(PyUnicode_GET_LENGTH(object)))) return false;
    if (PyUnicode_IS_COMPACT_ASCII(object)) {
      builder_.Text(Kind::kAsciiStr, {reinterpret_cast<const char*>(PyUnicode_1BYTE_DATA(object)),
                                      static_cast<size_t>(PyUnicode_GET_LENGTH(object))});
      return true;
    }
    if (limits_.between_interpreters && PyUnicode_IS_COMPACT(object)) {
      const int width = PyUnicode_KIND(object);
      const size_t size = static_cast<size_t>(PyUnicode_GET_LENGTH(object)) * static_cast<size_t>(width);
      if (!Fits(object, size)) return false;
      const Kind kind = width == 1 ? Kind::kUcs1Str : width == 2 ? Kind::kUcs2Str : Kind::kUcs4Str;
      return builder_.Text(kind, {static_cast<const char*>(PyUnicode_DATA(object)), size}), true;
    }
    // Not PyUnicode_AsUTF8AndSize: it would leave a second copy in the object for as long as it lives.
    Kind kind = Kind::kStr;
    PyRef utf8 = PyRef::Steal(PyUnicode_AsUTF8String(object));
    if (!utf8 && PyErr_ExceptionMatches(PyExc_UnicodeEncodeError)) {
      PyErr_Clear();
      kind = Kind::kSurrogateStr;
      utf8 = PyRef::Steal(PyUnicode_AsEncodedString(object, "utf-8", "surrogatepass"));
    }
    if (!utf8) return Fail(object, "there is not enough memory to copy it");
    std::string_view text(PyBytes_AS_STRING(utf8.get()), static_cast<size_t>(PyBytes_GET_SIZE(utf8.get())));
    if (!Fits(object, text.size())) return false;
    return builder_.Text(kind, text), true;
  }

  bool WriteContainer(PyObject* object, bool (Encoder::*write)(PyObject*)) {
    for (PyObject* ancestor : ancestors_) {
      if (ancestor == object) return Fail(object, absl::StrCat("the ", Py_TYPE(object)->tp_name, " contains itself"));
    }
    if (static_cast<int>(ancestors_.size()) >= limits_.max_depth) {
      return Fail(object, absl::StrCat("it is nested deeper than ", limits_.max_depth, " levels"));
    }
    if (!Fits(object, 16)) return false;
    ancestors_.push_back(object);
    bool written = (this->*write)(object);
    ancestors_.pop_back();
    return written;
  }

  bool WriteSequence(PyObject* object) {
    const bool is_tuple = PyTuple_Check(object);
    Py_ssize_t size = PySequence_Fast_GET_SIZE(object);
    builder_.Begin(is_tuple ? Kind::kTuple : Kind::kList, static_cast<size_t>(size));
    for (Py_ssize_t i = 0; i < size; ++i) {
      if (!Write(PySequence_Fast_GET_ITEM(object, i))) return Below(absl::StrCat("[", i, "]"));
    }
    return true;
  }

  bool WriteSet(PyObject* object) {
    builder_.Begin(PyFrozenSet_Check(object) ? Kind::kFrozenSet : Kind::kSet,
                   static_cast<size_t>(PySet_GET_SIZE(object)));
    PyRef iterator = PyRef::Steal(PySet_Type.tp_iter(object));
    if (!iterator) return Fail(object, "it cannot be iterated");
    while (PyRef item = PyRef::Steal(PyIter_Next(iterator.get()))) {
      if (!Write(item.get())) return Below("{...}");
    }
    return true;
  }

  bool WriteDict(PyObject* object) {
    builder_.Begin(Kind::kDict, 2 * static_cast<size_t>(PyDict_GET_SIZE(object)));
    Py_ssize_t position = 0;
    PyObject* key;
    PyObject* value;
    while (PyDict_Next(object, &position, &key, &value)) {
      if (!Write(key)) return Below(".keys()");
      if (!Write(value)) return Below(Subscript(key));
    }
    return true;
  }

  bool Below(std::string_view step) {
    path_.insert(0, step);
    return false;
  }

  // "['owner']" or "[7]"; "[...]" for what has no short name.
  static std::string Subscript(PyObject* key) {
    if (!PyUnicode_CheckExact(key) && !PyLong_CheckExact(key)) return "[...]";
    PyRef repr = PyRef::Steal(PyObject_Repr(key));
    const char* text = repr ? PyUnicode_AsUTF8(repr.get()) : nullptr;
    PyErr_Clear();
    if (text == nullptr || std::strlen(text) > 60) return "[...]";
    return absl::StrCat("[", text, "]");
  }

  const EncodeLimits& limits_;
  InterpreterLink* link_ = nullptr;  // once it was wanted
  ValueBuilder builder_;
  std::vector<PyObject*> ancestors_;  // the containers being written, borrowed
  std::string path_;
  std::string problem_;
  std::string type_;
};

// ---- Value -> PyObject --------------------------------------------------------------------------------------------

PyRef DecodeNode(ValueConsumer& reader);

// Characters that are in the narrowest form that will do.
PyRef DecodeUcs(const Node& node) {
  const size_t width = channels::CharacterSize(node.kind);
  if (width == 1 && node.bytes.size() == 1) {
    return PyRef::Steal(PyUnicode_FromOrdinal(static_cast<unsigned char>(node.bytes[0])));
  }
  const Py_UCS4 largest = width == 1 ? 0xff : width == 2 ? 0xffff : 0x10ffff;
  PyRef text = PyRef::Steal(PyUnicode_New(static_cast<Py_ssize_t>(node.bytes.size() / width), largest));
  if (text) std::memcpy(PyUnicode_DATA(text.get()), node.bytes.data(), node.bytes.size());
  return text;
}

PyRef Unpickle(const Node& node) {
  PyRef pickle = PyRef::Steal(PyImport_ImportModule("pickle"));
  PyRef bytes = PyRef::Steal(PyMemoryView_FromMemory(const_cast<char*>(node.bytes.data()),
                                                     static_cast<Py_ssize_t>(node.bytes.size()), PyBUF_READ));
  return pickle && bytes ? PyRef::Steal(PyObject_CallMethod(pickle.get(), "loads", "O", bytes.get())) : PyRef();
}

PyRef DecodeSequence(ValueConsumer& reader, const Node& node) {
  const bool is_tuple = node.kind == Kind::kTuple;
  Py_ssize_t size = static_cast<Py_ssize_t>(node.count);
  PyRef sequence = PyRef::Steal(is_tuple ? PyTuple_New(size) : PyList_New(size));
  if (!sequence) return {};
  for (Py_ssize_t i = 0; i < size; ++i) {
    PyRef item = DecodeNode(reader);
    if (!item) return {};
    if (is_tuple) {
      PyTuple_SET_ITEM(sequence.get(), i, item.release());
    } else {
      PyList_SET_ITEM(sequence.get(), i, item.release());
    }
  }
  return sequence;
}

PyRef DecodeSet(ValueConsumer& reader, const Node& node) {
  PyRef set = PyRef::Steal(node.kind == Kind::kSet ? PySet_New(nullptr) : PyFrozenSet_New(nullptr));
  if (!set) return {};
  for (size_t i = 0; i < node.count; ++i) {
    PyRef item = DecodeNode(reader);
    // PySet_Add accepts a frozenset that nobody else has seen.
    if (!item || PySet_Add(set.get(), item.get()) < 0) return {};
  }
  return set;
}

PyRef DecodeDict(ValueConsumer& reader, const Node& node) {
  PyRef dict = PyRef::Steal(PyDict_New());
  if (!dict) return {};
  for (size_t i = 0; i < node.count; i += 2) {
    PyRef key = DecodeNode(reader);
    if (!key) return {};
    PyRef value = DecodeNode(reader);
    if (!value || PyDict_SetItem(dict.get(), key.get(), value.get()) < 0) return {};
  }
  return dict;
}

PyRef DecodeNode(ValueConsumer& reader) {
  const Node node = reader.Next();
  // One character or none: CPython has those objects already.
  if (IsAdoptable(node.kind) && node.bytes.size() > channels::CharacterSize(node.kind)) {
    if (char* block = reader.ReleaseText(node)) return AdoptText(node.kind, block, node.bytes.size());
  }
  const char* bytes = node.bytes.data();
  const Py_ssize_t size = static_cast<Py_ssize_t>(node.bytes.size());
  switch (node.kind) {
    case Kind::kNone: return PyRef::Borrow(Py_None);
    case Kind::kBool: return PyRef::Borrow(node.bool_value ? Py_True : Py_False);
    case Kind::kInt: return PyRef::Steal(PyLong_FromLongLong(node.int_value));
    case Kind::kBigInt:
      return PyRef::Steal(PyLong_FromNativeBytes(bytes, node.bytes.size(), Py_ASNATIVEBYTES_LITTLE_ENDIAN));
    case Kind::kFloat: return PyRef::Steal(PyFloat_FromDouble(node.real));
    case Kind::kComplex: return PyRef::Steal(PyComplex_FromDoubles(node.real, node.imag));
    case Kind::kAsciiStr: {
      if (size == 1) return PyRef::Steal(PyUnicode_FromOrdinal(*bytes));
      PyRef text = PyRef::Steal(PyUnicode_New(size, 127));
      if (text && size != 0) std::memcpy(PyUnicode_1BYTE_DATA(text.get()), bytes, node.bytes.size());
      return text;
    }
    case Kind::kStr: return PyRef::Steal(PyUnicode_DecodeUTF8(bytes, size, "strict"));
    case Kind::kSurrogateStr: return PyRef::Steal(PyUnicode_DecodeUTF8(bytes, size, "surrogatepass"));
    case Kind::kUcs1Str:
    case Kind::kUcs2Str:
    case Kind::kUcs4Str: return DecodeUcs(node);
    case Kind::kPickle: return Unpickle(node);
    case Kind::kBuffer: {
      HostState* state = CurrentHostState();
      return state == nullptr ? PyRef() : FromBufferView(*state, static_cast<channels::BufferView*>(node.shared));
    }
    case Kind::kChannel: {
      HostState* state = CurrentHostState();
      auto* channel = static_cast<channels::Channel*>(node.shared);
      return state == nullptr ? PyRef() : FromChannel(*state, channels::Ref<channels::Channel>::Borrow(channel));
    }
    case Kind::kConstant: {
      InterpreterLink* link = InterpreterLink::Current();
      if (link == nullptr) {
        PyErr_SetString(PyExc_RuntimeError, "constants are for interpreters that interpd hosts");
        return {};
      }
      const auto* constant = static_cast<ConstantObject*>(node.shared);
      link->seen_constants().Add(constant->constant());
      return PyRef::Borrow(constant->object());
    }
    case Kind::kBytes: return PyRef::Steal(PyBytes_FromStringAndSize(bytes, size));
    case Kind::kTuple:
    case Kind::kList: return DecodeSequence(reader, node);
    case Kind::kSet:
    case Kind::kFrozenSet: return DecodeSet(reader, node);
    case Kind::kDict: return DecodeDict(reader, node);
  }
  PyErr_SetString(PyExc_SystemError, "damaged value");
  return {};
}

}  // namespace

bool EncodeSimple(PyObject* object, Value* value) {
  PyTypeObject* type = Py_TYPE(object);
  // It may be a constant's, and travel by reference.
  const bool plain = !BuiltConstant::MayOwn(object);
  if (type == &PyLong_Type) {
    auto* number = reinterpret_cast<PyLongObject*>(object);
    if (!PyUnstable_Long_IsCompact(number)) return false;
    *value = Value::Int(PyUnstable_Long_CompactValue(number));
  } else if (type == &PyBytes_Type && plain && PyBytes_GET_SIZE(object) <= kSimpleBytes) {
    *value = Value::Bytes({PyBytes_AS_STRING(object), static_cast<size_t>(PyBytes_GET_SIZE(object))});
  } else if (type == &PyUnicode_Type && plain && PyUnicode_IS_COMPACT_ASCII(object) &&
             PyUnicode_GET_LENGTH(object) <= kSimpleBytes) {
    *value = Value::Text(Kind::kAsciiStr, {reinterpret_cast<const char*>(PyUnicode_1BYTE_DATA(object)),
                                           static_cast<size_t>(PyUnicode_GET_LENGTH(object))});
  } else if (type == &PyFloat_Type) {
    *value = Value::Float(PyFloat_AS_DOUBLE(object));
  } else if (object == Py_None) {
    *value = Value();
  } else if (type == &PyBool_Type) {
    *value = Value::Bool(object == Py_True);
  } else {
    return false;
  }
  return true;
}

absl::StatusOr<Value> Encode(PyObject* object, const EncodeLimits& limits) { return Encoder(limits).Run(object); }

PyRef Decode(Value&& value) {
  // Most messages are these.
  if (value.kind() == Kind::kInt) return PyRef::Steal(PyLong_FromLongLong(value.int_value()));
  if (value.kind() == Kind::kNone) return PyRef::Borrow(Py_None);
  ValueConsumer reader(std::move(value));
  return DecodeNode(reader);
}

}  // namespace interpd::interp
