// PyRef: an owned reference to a Python object.
//
//   PyRef list = PyRef::Steal(PyList_New(0));        // a new reference, or null with an exception set
//   PyRef item = PyRef::Borrow(PyList_GetItem(...)); // a borrowed one that is to last
//
// Requires an attached thread state of the object's interpreter for everything but moving and testing for null.
#ifndef INTERPD_INTERP_PY_REF_H_
#define INTERPD_INTERP_PY_REF_H_

#include <utility>

#include "interp/python_api.h"

namespace interpd::interp {

class PyRef {
 public:
  PyRef() = default;
  static PyRef Steal(PyObject* object) { return PyRef(object); }
  static PyRef Borrow(PyObject* object) { return PyRef(Py_XNewRef(object)); }

  PyRef(PyRef&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  PyRef& operator=(PyRef&& other) noexcept {
    // The old object goes last: its destructor may run Python code that comes back here.
    PyObject* old = std::exchange(object_, std::exchange(other.object_, nullptr));
    Py_XDECREF(old);
    return *this;
  }
  ~PyRef() { Py_XDECREF(object_); }

  explicit operator bool() const { return object_ != nullptr; }
  PyObject* get() const { return object_; }
  // Gives the reference away.
  PyObject* release() { return std::exchange(object_, nullptr); }

 private:
  explicit PyRef(PyObject* object) : object_(object) {}

  PyObject* object_ = nullptr;
};

}  // namespace interpd::interp

#endif  // INTERPD_INTERP_PY_REF_H_
