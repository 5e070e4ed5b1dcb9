// The type interpd.Channel: what it is beside sending and receiving, and the table of its methods.
#include <algorithm>
#include <cstddef>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "channels/names.h"
#include "interp/host_arguments.h"
#include "interp/host_channel.h"
#include "interp/python_runtime.h"

namespace interpd::interp {
namespace {

using channels::Channel;
using channels::Ref;

ChannelObject* Self(PyObject* object) { return reinterpret_cast<ChannelObject*>(object); }

// ---- asyncio: in Python, interpd_helpers.py -----------------------------------------------------------------------

PyObject* CallHelper(PyObject* object, const char* helper, PyObject* const* args, Py_ssize_t count,
                     PyObject* keywords) {
  PyRef function = Helper(*Self(object)->state, helper);
  if (!function) return nullptr;
  const Py_ssize_t all = count + (keywords == nullptr ? 0 : PyTuple_GET_SIZE(keywords));
  std::vector<PyObject*> with_self = {object};
  with_self.insert(with_self.end(), args, args + all);
  return PyObject_Vectorcall(function.get(), with_self.data(), static_cast<size_t>(count + 1), keywords);
}

PyObject* AsyncRecv(PyObject* object, PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  return CallHelper(object, "arecv", args, count, keywords);
}
PyObject* AsyncSend(PyObject* object, PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  return CallHelper(object, "asend", args, count, keywords);
}
PyObject* AsyncNext(PyObject* object) { return CallHelper(object, "anext_value", nullptr, 0, nullptr); }

PyObject* WakeFd(PyObject*, PyObject*) {
  const int fd = PythonRuntime::ThreadWakeFd();
  return fd < 0 ? PyErr_SetFromErrno(PyExc_OSError) : PyLong_FromLong(fd);
}

PyObject* Watch(PyObject* object, PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  static constexpr Signature<2> kSignature = {"_watch", 2, 2, {"receive", "callback"}};
  PyObject* given[2];
  if (!kSignature.Bind(args, count, keywords, given)) return nullptr;
  const int receive = PyObject_IsTrue(given[0]);
  if (receive < 0) return nullptr;
  return MakeWatch(*Self(object)->state, Self(object)->channel,
                   receive ? channels::Direction::kRecv : channels::Direction::kSend, given[1])
      .release();
}

// ---- the channel itself -------------------------------------------------------------------------------------------

PyObject* Close(PyObject* object, PyObject*) { return PyBool_FromLong(Self(object)->channel->Close()); }

PyObject* Subscribe(PyObject* object, PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  static constexpr Signature<2> kSignature = {"subscribe", 0, 2, {"capacity", "slow"}};
  static constexpr std::pair<const char*, channels::SlowSubscriber> kPolicies[] = {
      {"block", channels::SlowSubscriber::kBlock},
      {"drop_oldest", channels::SlowSubscriber::kDropOldest},
      {"disconnect", channels::SlowSubscriber::kDisconnect},
  };
  PyObject* given[2];
  channels::SubscribeOptions options;
  if (!kSignature.Bind(args, count, keywords, given)) return nullptr;
  if (given[0] != nullptr) {
    const Py_ssize_t capacity = PyNumber_AsSsize_t(given[0], nullptr);
    if (capacity == -1 && PyErr_Occurred()) return nullptr;
    if (capacity < 1 || static_cast<size_t>(capacity) > Channel::kMaxCapacity) {
      return PyErr_Format(PyExc_ValueError, "capacity must be between 1 and %zu", Channel::kMaxCapacity);
    }
    options.capacity = static_cast<size_t>(capacity);
  }
  if (given[1] != nullptr) {
    const auto* policy = std::find_if(std::begin(kPolicies), std::end(kPolicies), [&](const auto& each) {
      return PyUnicode_Check(given[1]) && PyUnicode_EqualToUTF8(given[1], each.first);
    });
    if (policy == std::end(kPolicies)) {
      PyErr_SetString(PyExc_ValueError, "slow must be 'block', 'drop_oldest' or 'disconnect'");
      return nullptr;
    }
    options.slow = policy->second;
  }
  Ref<Channel> end = Self(object)->channel->Subscribe(options);
  if (!end) {
    PyErr_SetString(Self(object)->state->channel_error.get(),
                    "only a channel made with broadcast=True can be subscribed to");
    return nullptr;
  }
  return FromChannel(*Self(object)->state, std::move(end)).release();
}

PyObject* Stats(PyObject* object, PyObject*) {
  const channels::ChannelStats stats = Self(object)->channel->Stats();
  return Py_BuildValue("{sKsKsKsKsnsnsnsN}", "sent", stats.sent, "received", stats.received, "returned", stats.returned,
                       "dropped", stats.dropped, "size", static_cast<Py_ssize_t>(stats.size), "capacity",
                       static_cast<Py_ssize_t>(stats.capacity), "subscribers",
                       static_cast<Py_ssize_t>(stats.subscribers), "closed", PyBool_FromLong(stats.closed));
}

PyObject* Enter(PyObject* object, PyObject*) { return Py_NewRef(object); }

PyObject* Exit(PyObject* object, PyObject* const*, Py_ssize_t, PyObject*) {
  Self(object)->channel->Close();
  Py_RETURN_NONE;
}

Py_ssize_t Length(PyObject* object) { return static_cast<Py_ssize_t>(Self(object)->channel->SizeGuess()); }

// An empty channel is no false one.
int IsTrue(PyObject*) { return 1; }

PyObject* GetCapacity(PyObject* object, void*) { return PyLong_FromSize_t(Self(object)->channel->capacity()); }
PyObject* GetClosed(PyObject* object, void*) { return PyBool_FromLong(Self(object)->channel->closed()); }
PyObject* GetId(PyObject* object, void*) { return PyLong_FromVoidPtr(Self(object)->channel); }
PyObject* GetName(PyObject* object, void*) {
  const std::string_view name = channels::IdOf(Self(object)->channel->name());
  if (name.empty()) Py_RETURN_NONE;
  return PyUnicode_DecodeUTF8(name.data(), static_cast<Py_ssize_t>(name.size()), "replace");
}

PyObject* Repr(PyObject* object) {
  Channel* channel = Self(object)->channel;
  PyRef name = PyRef::Steal(GetName(object, nullptr));
  PyRef shown =
      !name ? PyRef()
            : PyRef::Steal(name.get() == Py_None ? PyUnicode_FromFormat("%p", channel) : PyObject_Repr(name.get()));
  if (!shown) return nullptr;
  return PyUnicode_FromFormat("<interpd.Channel %U, %zu of %zu%s>", shown.get(), channel->SizeGuess(),
                              channel->capacity(), channel->closed() ? ", closed" : "");
}

Py_hash_t Hash(PyObject* object) { return PyObject_GenericHash(reinterpret_cast<PyObject*>(Self(object)->channel)); }

PyObject* Compare(PyObject* a, PyObject* b, int operation) {
  Channel* other = AsChannel(b);
  if (other == nullptr || (operation != Py_EQ && operation != Py_NE)) Py_RETURN_NOTIMPLEMENTED;
  return PyBool_FromLong((Self(a)->channel == other) == (operation == Py_EQ));
}

void Dealloc(PyObject* object) {
  PyTypeObject* type = Py_TYPE(object);
  ChannelObject* self = Self(object);
  if (self->weak_references != nullptr) PyObject_ClearWeakRefs(object);
  if (self->channel != nullptr) self->channel->Unref();
  type->tp_free(object);
  Py_DECREF(type);
}

}  // namespace

Channel* AsChannel(PyObject* object) {
  // One type of each interpreter has this destructor.
  return Py_TYPE(object)->tp_dealloc == &Dealloc ? Self(object)->channel : nullptr;
}

PyRef FromChannel(HostState& state, Ref<Channel> channel) {
  auto* type = reinterpret_cast<PyTypeObject*>(state.channel_type.get());
  if (type == nullptr) {
    PyErr_SetString(PyExc_RuntimeError, "the interpreter is ending");
    return {};
  }
  PyObject* object = type->tp_alloc(type, 0);
  if (object == nullptr) return {};
  Self(object)->channel = channel.release();
  Self(object)->state = &state;
  return PyRef::Steal(object);
}

bool AddChannelType(PyObject* module, HostState& state) {
  static PyMethodDef methods[] = {
      INTERPD_METHOD(
          "send", ChannelSend,
          "send($self, value, timeout=None, *, pickle=False)\n--\n\n"
          "Sends a value, waiting while the channel is full.\n\n"
          "Shareable are None, bool, int, float, complex, str, bytes, tuple, list, set, frozenset and dict,\n"
          "nested; they arrive as equal objects of the same types. Channels arrive as themselves. A\n"
          "memoryview of a Buffer or of bytes, and a Buffer, arrive as the same memory: nothing is copied.\n"
          "pickle=True carries anything that pickle does.\n\n"
          "Raises ChannelClosed, NotShareableError, and TimeoutError after `timeout` seconds; then nothing\n"
          "was sent."),
      INTERPD_METHOD("recv", ChannelRecv,
                     "recv($self, timeout=None)\n--\n\n"
                     "Receives the oldest value, waiting while the channel is empty.\n\n"
                     "Raises ChannelClosed when it is closed and empty, and TimeoutError after `timeout` seconds. An\n"
                     "exception that interrupts it takes no value out of the channel."),
      INTERPD_METHOD("try_send", ChannelTrySend,
                     "try_send($self, value, *, pickle=False)\n--\n\n"
                     "Sends a value at once, or raises ChannelFull or ChannelClosed."),
      INTERPD_METHOD("try_recv", ChannelTryRecv,
                     "try_recv($self, default=...)\n--\n\n"
                     "Receives a value that is there. Else returns the default, or without one raises ChannelEmpty;\n"
                     "raises ChannelClosed when the channel is closed and empty."),
      INTERPD_METHOD("send_many", ChannelSendMany,
                     "send_many($self, values, timeout=None)\n--\n\n"
                     "Sends all values of an iterable in order and returns how many that were. Several times as fast\n"
                     "as send() for each. An exception carries as its attribute `sent` how many went before it."),
      INTERPD_METHOD("recv_many", ChannelRecvMany,
                     "recv_many($self, max, timeout=None)\n--\n\n"
                     "Waits for a value as recv() does and returns it in a list, with those that are there behind it:\n"
                     "at most max."),
      INTERPD_METHOD("arecv", AsyncRecv,
                     "arecv($self, timeout=None)\n--\n\n"
                     "recv() for asyncio, to be awaited. No thread waits for it, and cancelling it loses no value."),
      INTERPD_METHOD("asend", AsyncSend,
                     "asend($self, value, timeout=None, *, pickle=False)\n--\n\nsend() for asyncio, to be awaited."),
      INTERPD_METHOD(
          "subscribe", Subscribe,
          "subscribe($self, capacity=1024, slow='block')\n--\n\n"
          "An end of a broadcast channel that receives whatever is sent from now on. When it lags behind by\n"
          "more than its capacity: 'block' makes senders wait, 'drop_oldest' loses its oldest value,\n"
          "'disconnect' closes the end. It is unsubscribed by close(), or when nobody refers to it."),
      {"stats", Stats, METH_NOARGS,
       "stats($self, /)\n--\n\n"
       "Numbers as a dict: sent, received, returned, dropped, size, capacity, subscribers, closed."},
      {"close", Close, METH_NOARGS,
       "close($self, /)\n--\n\n"
       "Closes the channel for all: send() raises ChannelClosed, recv() does so once the channel is empty, and those\n"
       "who wait wake up. Returns whether this call closed it."},
      {"__enter__", Enter, METH_NOARGS, nullptr},
      INTERPD_METHOD("__exit__", Exit, nullptr),
      INTERPD_METHOD("put", ChannelPut,
                     "put($self, obj, block=True, timeout=None, *, unbounditems=None, _delay=0.01)\n--\n\n"
                     "As in concurrent.interpreters.Queue: send(), pickling what is not shareable; ChannelFull after\n"
                     "the timeout. The last two arguments change nothing: values outlive their interpreter, and\n"
                     "nobody polls."),
      INTERPD_METHOD("put_nowait", ChannelPutNowait,
                     "put_nowait($self, obj, *, unbounditems=None)\n--\n\nput(obj, block=False)"),
      INTERPD_METHOD("get", ChannelGet,
                     "get($self, block=True, timeout=None, *, _delay=0.01)\n--\n\n"
                     "As in concurrent.interpreters.Queue: recv(); ChannelEmpty after the timeout."),
      {"get_nowait", ChannelGetNowait, METH_NOARGS, "get_nowait($self, /)\n--\n\nget(block=False)"},
      {"qsize", ChannelQsize, METH_NOARGS, "qsize($self, /)\n--\n\nlen(self)"},
      {"empty", ChannelEmpty, METH_NOARGS, "empty($self, /)\n--\n\nWhether it is empty just now."},
      {"full", ChannelFull, METH_NOARGS, "full($self, /)\n--\n\nWhether it is full just now."},
      INTERPD_METHOD("_watch", Watch, nullptr),
      {"_wake_fd", WakeFd, METH_NOARGS | METH_STATIC, nullptr},
      {},
  };
  static PyGetSetDef getters[] = {
      {"name", GetName, nullptr, "The name under which interpd.channel() finds it; None for an anonymous one.",
       nullptr},
      {"capacity", GetCapacity, nullptr, "How many values it holds before send() waits.", nullptr},
      {"maxsize", GetCapacity, nullptr, "The same, as in concurrent.interpreters.Queue.", nullptr},
      {"closed", GetClosed, nullptr, "Whether it is closed; it may hold values still.", nullptr},
      {"id", GetId, nullptr, "A number that no other living channel of the process has.", nullptr},
      {},
  };
  static PyMemberDef members[] = {
      {"__weaklistoffset__", Py_T_PYSSIZET, offsetof(ChannelObject, weak_references), Py_READONLY, nullptr},
      {},
  };
  static PyType_Slot slots[] = {
      {Py_tp_doc,
       const_cast<char*>(
           "A bounded queue of values between interpreters, made or found by interpd.channel().\n\n"
           "Any interpreter and any thread may send and receive. Values come out in the order in which they went in.\n"
           "It belongs to the process: what an interpreter has sent stays when that interpreter ends. An anonymous\n"
           "channel goes, with what is in it, when nobody refers to it any more.\n\n"
           "Iterating receives until it is closed and empty; `with` closes it at its end; `async for` works too.")},
      {Py_tp_dealloc, reinterpret_cast<void*>(&Dealloc)},
      {Py_tp_repr, reinterpret_cast<void*>(&Repr)},
      {Py_tp_hash, reinterpret_cast<void*>(&Hash)},
      {Py_tp_richcompare, reinterpret_cast<void*>(&Compare)},
      {Py_tp_iter, reinterpret_cast<void*>(&PyObject_SelfIter)},
      {Py_tp_iternext, reinterpret_cast<void*>(&ChannelNext)},
      {Py_am_aiter, reinterpret_cast<void*>(&PyObject_SelfIter)},
      {Py_am_anext, reinterpret_cast<void*>(&AsyncNext)},
      {Py_sq_length, reinterpret_cast<void*>(&Length)},
      {Py_nb_bool, reinterpret_cast<void*>(&IsTrue)},
      {Py_tp_methods, methods},
      {Py_tp_getset, getters},
      {Py_tp_members, members},
      {0, nullptr},
  };
  static PyType_Spec spec = {
      .name = "interpd.Channel",
      .basicsize = sizeof(ChannelObject),
      .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
      .slots = slots,
  };
  state.channel_type = PyRef::Steal(PyType_FromModuleAndSpec(module, &spec, nullptr));
  return state.channel_type && PyModule_AddObjectRef(module, "Channel", state.channel_type.get()) == 0;
}

}  // namespace interpd::interp
