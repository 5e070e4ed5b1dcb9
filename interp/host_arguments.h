// Arguments of the functions of `import interpd`, as vectorcall hands them over.
//
// Who includes this: host_*.cc.
#ifndef INTERPD_INTERP_HOST_ARGUMENTS_H_
#define INTERPD_INTERP_HOST_ARGUMENTS_H_

#include <cmath>
#include <cstddef>

#include "absl/time/time.h"
#include "interp/python_api.h"

namespace interpd::interp {

// One PyMethodDef entry for a function of the fast calling convention with keywords.
#define INTERPD_METHOD(name, function, doc) {name, _PyCFunction_CAST(function), METH_FASTCALL | METH_KEYWORDS, doc}

// What a function takes: `required` of the names must be given, the first `positional` may be by place.
template <size_t N>
struct Signature {
  const char* function;
  size_t required;
  size_t positional;
  const char* names[N];

  // Borrowed references in the order of the names, null where none was given. False with TypeError set.
  bool Bind(PyObject* const* args, Py_ssize_t count, PyObject* keywords, PyObject* (&out)[N]) const {
    const auto given = static_cast<size_t>(count);
    if (given > positional) {
      PyErr_Format(PyExc_TypeError, "%s() takes at most %zu positional arguments (%zu given)", function, positional,
                   given);
      return false;
    }
    for (size_t i = 0; i < N; ++i) out[i] = i < given ? args[i] : nullptr;
    const Py_ssize_t keyword_count = keywords == nullptr ? 0 : PyTuple_GET_SIZE(keywords);
    for (Py_ssize_t k = 0; k < keyword_count; ++k) {
      PyObject* keyword = PyTuple_GET_ITEM(keywords, k);
      size_t i = 0;
      while (i < N && PyUnicode_EqualToUTF8(keyword, names[i]) == 0) ++i;
      if (i == N) {
        PyErr_Format(PyExc_TypeError, "%s() got an unexpected keyword argument '%U'", function, keyword);
        return false;
      }
      if (out[i] != nullptr) {
        PyErr_Format(PyExc_TypeError, "%s() got multiple values for argument '%U'", function, keyword);
        return false;
      }
      out[i] = args[count + k];
    }
    for (size_t i = 0; i < required; ++i) {
      if (out[i] != nullptr) continue;
      PyErr_Format(PyExc_TypeError, "%s() missing required argument '%s'", function, names[i]);
      return false;
    }
    return true;
  }
};

// Seconds as a number; null or None: for ever. False with TypeError or ValueError set.
inline bool ParseTimeout(PyObject* timeout, absl::Duration* duration) {
  *duration = absl::InfiniteDuration();
  if (timeout == nullptr || timeout == Py_None) return true;
  const double seconds = PyFloat_AsDouble(timeout);
  if (seconds == -1.0 && PyErr_Occurred()) return false;
  if (std::isnan(seconds) || seconds < 0) {
    PyErr_SetString(PyExc_ValueError, "timeout must be a non-negative number of seconds");
    return false;
  }
  *duration = absl::Seconds(seconds);
  return true;
}

// A Python truth value; null: `otherwise`. -1 with an exception set.
inline int ParseBool(PyObject* value, bool otherwise) {
  return value == nullptr ? static_cast<int>(otherwise) : PyObject_IsTrue(value);
}

}  // namespace interpd::interp

#endif  // INTERPD_INTERP_HOST_ARGUMENTS_H_
