// interpd's one-shot watches: a callback in the interpreter when a channel may have become ready. What `await` on a
// channel is made of (interpd_helpers.py); hosted code has no other use for them.
//
// A channel's watcher fires on the thread of whoever made the channel ready, which must touch nothing of this
// interpreter: it leaves an errand (interpreter_link.h), and that calls the callback here.
#include <memory>
#include <utility>

#include "interp/host_state.h"

namespace interpd::interp {
namespace {

using channels::Channel;
using channels::Ref;

struct WatchObject;

class Firing final : public channels::Watcher, public Errand, public std::enable_shared_from_this<Firing> {
 public:
  Firing(std::shared_ptr<InterpreterLink> link, pid_t thread, WatchObject* owner)
      : link_(std::move(link)), thread_(thread), owner_(owner) {}

  void Ready() override { link_->Post(shared_from_this(), thread_); }
  bool Run() override;
  void TooLate() override {}

  void Disown() { owner_ = nullptr; }

 private:
  const std::shared_ptr<InterpreterLink> link_;
  const pid_t thread_;  // runs the event loop that is to wake up
  WatchObject* owner_;  // borrowed, null when it has gone or was cancelled; the interpreter's threads, attached
};

struct WatchObject {
  PyObject_HEAD std::shared_ptr<Firing>* firing;  // null once cancelled
  Channel* channel;                               // owned
  channels::WatchId id;
  PyObject* callback;
};

WatchObject* Self(PyObject* object) { return reinterpret_cast<WatchObject*>(object); }

bool Firing::Run() {
  if (owner_ == nullptr || owner_->callback == nullptr) return true;
  PyRef callback = PyRef::Borrow(owner_->callback);
  if (PyRef::Steal(PyObject_CallNoArgs(callback.get()))) return true;
  // An interrupt that hit the callback is raised here, and the callback comes again.
  if (!PyErr_ExceptionMatches(PyExc_Exception)) return false;
  // As when an event loop is closed: nobody waits any more.
  PyErr_Clear();
  return true;
}

void CancelWatch(WatchObject* self) {
  if (self->firing == nullptr) return;
  std::unique_ptr<std::shared_ptr<Firing>> firing(std::exchange(self->firing, nullptr));
  (*firing)->Disown();
  self->channel->Unwatch(self->id);
}

PyObject* Cancel(PyObject* object, PyObject*) {
  CancelWatch(Self(object));
  Py_RETURN_NONE;
}

int Traverse(PyObject* object, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(object));
  Py_VISIT(Self(object)->callback);
  return 0;
}

int Clear(PyObject* object) {
  Py_CLEAR(Self(object)->callback);
  return 0;
}

void Dealloc(PyObject* object) {
  PyTypeObject* type = Py_TYPE(object);
  PyObject_GC_UnTrack(object);
  WatchObject* self = Self(object);
  CancelWatch(self);
  Clear(object);
  if (self->channel != nullptr) self->channel->Unref();
  type->tp_free(object);
  Py_DECREF(type);
}

}  // namespace

bool AddWatchType(PyObject* module, HostState& state) {
  static PyMethodDef methods[] = {
      {"cancel", Cancel, METH_NOARGS, "cancel($self, /)\n--\n\nIts callback is not called any more."},
      {},
  };
  static PyType_Slot slots[] = {
      {Py_tp_doc, const_cast<char*>("Calls a function once when a channel may have become ready.")},
      {Py_tp_dealloc, reinterpret_cast<void*>(&Dealloc)},
      {Py_tp_traverse, reinterpret_cast<void*>(&Traverse)},
      {Py_tp_clear, reinterpret_cast<void*>(&Clear)},
      {Py_tp_methods, methods},
      {0, nullptr},
  };
  static PyType_Spec spec = {
      .name = "interpd._Watch",
      .basicsize = sizeof(WatchObject),
      .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
      .slots = slots,
  };
  state.watch_type = PyRef::Steal(PyType_FromModuleAndSpec(module, &spec, nullptr));
  return static_cast<bool>(state.watch_type);
}

PyRef MakeWatch(HostState& state, Channel* channel, channels::Direction direction, PyObject* callback) {
  auto* type = reinterpret_cast<PyTypeObject*>(state.watch_type.get());
  PyRef object = PyRef::Steal(type->tp_alloc(type, 0));
  if (!object) return {};
  WatchObject* self = Self(object.get());
  self->channel = Ref<Channel>::Borrow(channel).release();
  self->callback = Py_NewRef(callback);
  auto firing = std::make_shared<Firing>(state.link, static_cast<pid_t>(PyThreadState_Get()->native_thread_id), self);
  self->firing = new std::shared_ptr<Firing>(firing);
  self->id = channel->Watch(direction, std::move(firing));
  return object;
}

}  // namespace interpd::interp
