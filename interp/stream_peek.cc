#include "interp/stream_peek.h"

#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

namespace interpd::interp {
namespace {

// A word of an object that says how many bytes wait in it.
struct CountWord {
  Py_ssize_t object_size = 0;  // of the type it was learned from; 0: not learned
  size_t offset = 0;
  int64_t when_empty = 0;
};

CountWord text_word;
CountWord buffer_word;

int64_t WordAt(PyObject* object, size_t offset) {
  int64_t word;
  std::memcpy(&word, reinterpret_cast<const char*>(object) + offset, sizeof(word));
  return word;
}

std::vector<int64_t> Words(PyObject* object) {
  std::vector<int64_t> words(static_cast<size_t>(Py_TYPE(object)->tp_basicsize) / sizeof(int64_t));
  std::memcpy(words.data(), object, words.size() * sizeof(int64_t));
  return words;
}

// Writes two and then three bytes, flushes, and looks which word went from "empty" to 2 to 5 and back.
CountWord LearnWord(PyObject* stream, const char* format) {
  std::vector<std::vector<int64_t>> seen = {Words(stream)};
  for (const char* data : {"xx", "xxx"}) {
    if (!PyRef::Steal(PyObject_CallMethod(stream, "write", format, data))) return {};
    seen.push_back(Words(stream));
  }
  if (!PyRef::Steal(PyObject_CallMethod(stream, "flush", nullptr))) return {};
  seen.push_back(Words(stream));

  CountWord found;
  for (size_t i = 0; i < seen[0].size(); ++i) {
    const int64_t empty = seen[0][i];
    if (empty > 0 || seen[1][i] != 2 || seen[2][i] != 5 || seen[3][i] != empty) continue;
    if (found.object_size != 0) return {};  // two that look alike
    found = {Py_TYPE(stream)->tp_basicsize, i * sizeof(int64_t), empty};
  }
  return found;
}

bool IsA(PyObject* object, std::string_view type_name, const CountWord& word) {
  return word.object_size != 0 && Py_TYPE(object)->tp_name == type_name &&
         Py_TYPE(object)->tp_basicsize == word.object_size;
}

}  // namespace

bool StreamPeek::Learn() {
  PyRef io = PyRef::Steal(PyImport_ImportModule("_io"));
  PyRef file = io ? PyRef::Steal(PyObject_CallMethod(io.get(), "FileIO", "ss", "/dev/null", "w")) : PyRef();
  PyRef buffer = file ? PyRef::Steal(PyObject_CallMethod(io.get(), "BufferedWriter", "O", file.get())) : PyRef();
  PyRef text =
      buffer ? PyRef::Steal(PyObject_CallMethod(io.get(), "TextIOWrapper", "Os", buffer.get(), "utf-8")) : PyRef();
  if (text) {
    text_word = LearnWord(text.get(), "s");
    buffer_word = LearnWord(buffer.get(), "y");
  }
  PyErr_Clear();
  return text_word.object_size != 0 && buffer_word.object_size != 0;
}

StreamPeek::StreamPeek(PyObject* text_stream) {
  if (!IsA(text_stream, "_io.TextIOWrapper", text_word)) return;
  PyRef buffer = PyRef::Steal(PyObject_GetAttrString(text_stream, "buffer"));
  if (!buffer) PyErr_Clear();
  if (!buffer || !IsA(buffer.get(), "_io.BufferedWriter", buffer_word)) return;
  text_ = PyRef::Borrow(text_stream);
  buffer_ = std::move(buffer);
}

bool StreamPeek::MayHoldText() const {
  return !text_ || WordAt(text_.get(), text_word.offset) != text_word.when_empty ||
         WordAt(buffer_.get(), buffer_word.offset) != buffer_word.when_empty;
}

}  // namespace interpd::interp
