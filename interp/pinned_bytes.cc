#include "interp/pinned_bytes.h"

#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>

#include "interp/constant.h"

namespace interpd::interp {
namespace {

using channels::Buffer;
using channels::Ref;

// Objects of at most so many bytes come from CPython's pools.
constexpr size_t kLargestPooled = 512;

class Release final : public Errand {
 public:
  Release(InterpreterLink* link, PyObject* object) : link_(link), object_(object) {}

  bool Run() override {
    link_->CountPinned(-1);
    Py_DECREF(object_);
    return true;
  }
  void TooLate() override { std::free(object_); }

 private:
  InterpreterLink* const link_;
  PyObject* const object_;
};

class PinnedBytes final : public Buffer {
 public:
  PinnedBytes(std::shared_ptr<InterpreterLink> link, PyObject* object)
      : Buffer(PyBytes_AS_STRING(object), static_cast<size_t>(PyBytes_GET_SIZE(object)), /*readonly=*/true),
        link_(std::move(link)),
        release_(std::make_shared<Release>(link_.get(), object)) {
    Py_INCREF(object);
    link_->CountPinned(+1);
  }

 private:
  ~PinnedBytes() override { link_->Post(std::move(release_), /*thread=*/0); }

  const std::shared_ptr<InterpreterLink> link_;
  std::shared_ptr<Release> release_;  // made beforehand: a destructor should not need memory
};

// Bytes of a constant.
class ConstantBytes final : public Buffer {
 public:
  ConstantBytes(Ref<BuiltConstant> constant, PyObject* object)
      : Buffer(PyBytes_AS_STRING(object), static_cast<size_t>(PyBytes_GET_SIZE(object)), /*readonly=*/true),
        constant_(std::move(constant)) {}

 private:
  const Ref<BuiltConstant> constant_;
};

}  // namespace

Ref<Buffer> ShareBytes(InterpreterLink& link, PyObject* object) {
  const size_t size = static_cast<size_t>(PyBytes_GET_SIZE(object));
  const bool pooled = size + PyBytes_Type.tp_basicsize <= kLargestPooled;
  if (BuiltConstant* constant = link.seen_constants().Find(object)) {
    return channels::MakeRef<ConstantBytes>(Ref<BuiltConstant>::Borrow(constant), object);
  }
  // An immortal object is not this interpreter's alone.
  if (!pooled && !link.ending() && !PyUnstable_IsImmortal(object)) {
    return channels::MakeRef<PinnedBytes>(link.shared_from_this(), object);
  }
  Ref<Buffer> copy = channels::CopyToBuffer({PyBytes_AS_STRING(object), size});
  if (!copy) PyErr_NoMemory();
  return copy;
}

}  // namespace interpd::interp
