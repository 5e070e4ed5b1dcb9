// interpd.channel and interpd.create_queue.
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "channels/channel_registry.h"
#include "channels/names.h"
#include "interp/host_arguments.h"
#include "interp/host_state.h"

namespace interpd::interp {
namespace {

using channels::Channel;
using channels::ChannelOptions;
using channels::Ref;

// What code written for concurrent.interpreters means by a queue without a bound: a channel has one.
constexpr size_t kUnboundedQueue = size_t{1} << 16;

HostState& State(PyObject* module) { return **static_cast<HostState**>(PyModule_GetState(module)); }

bool ParseCapacity(PyObject* argument, const char* what, size_t* capacity) {
  const Py_ssize_t number = PyNumber_AsSsize_t(argument, nullptr);
  if (number == -1 && PyErr_Occurred()) return false;
  if (number < 0 || static_cast<size_t>(number) > Channel::kMaxCapacity) {
    PyErr_Format(PyExc_ValueError, "%s must be between 0 and %zu", what, Channel::kMaxCapacity);
    return false;
  }
  *capacity = static_cast<size_t>(number);
  return true;
}

PyObject* MakeChannel(PyObject* module, PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  static constexpr Signature<3> kSignature = {"channel", 0, 2, {"name", "capacity", "broadcast"}};
  HostState& state = State(module);
  PyObject* given[3];
  if (!kSignature.Bind(args, count, keywords, given)) return nullptr;
  ChannelOptions options;
  if (given[1] != nullptr && !ParseCapacity(given[1], "capacity", &options.capacity)) return nullptr;
  const int broadcast = ParseBool(given[2], false);
  if (broadcast < 0) return nullptr;
  options.broadcast = broadcast != 0;
  if (given[0] == nullptr || given[0] == Py_None) return FromChannel(state, Channel::Make(options)).release();

  Py_ssize_t size = 0;
  const char* name = PyUnicode_AsUTF8AndSize(given[0], &size);
  if (name == nullptr) return nullptr;
  if (size == 0) {
    PyErr_SetString(PyExc_ValueError, "a channel's name must not be empty; None makes an anonymous one");
    return nullptr;
  }
  const std::string_view id(name, static_cast<size_t>(size));
  // Before it is put into the interpreter's own space: an ID with a '/' would lead out of it.
  if (absl::Status named = channels::CheckName(id, "a channel", "channel_id"); !named.ok()) {
    return RaiseStatus(state, named);
  }
  options.name = absl::StrCat(state.link->access().space, id);
  absl::StatusOr<Ref<Channel>> channel = state.link->access().channels->OpenOrCreate(std::move(options));
  if (!channel.ok()) return RaiseStatus(state, channel.status());
  return FromChannel(state, *std::move(channel)).release();
}

PyObject* CreateQueue(PyObject* module, PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  static constexpr Signature<2> kSignature = {"create_queue", 0, 1, {"maxsize", "unbounditems"}};
  PyObject* given[2];
  if (!kSignature.Bind(args, count, keywords, given)) return nullptr;
  ChannelOptions options{.capacity = 0};
  if (given[0] != nullptr && !ParseCapacity(given[0], "maxsize", &options.capacity)) return nullptr;
  if (options.capacity == 0) options.capacity = kUnboundedQueue;
  return FromChannel(State(module), Channel::Make(options)).release();
}

}  // namespace

PyMethodDef kChannelFunction = INTERPD_METHOD(
    "channel", MakeChannel,
    "channel(name=None, capacity=1024, *, broadcast=False)\n--\n\n"
    "Opens the channel of that name, or makes it with that capacity. Every interpreter, and every client of the "
    "daemon,\n"
    "finds the same channel under a name, until it is closed and empty. Without a name, makes an anonymous one, for\n"
    "those to whom it is handed.\n\n"
    "Capacity 0 makes a rendezvous: send() waits until a receiver takes the value. A broadcast channel hands each "
    "value\n"
    "to every subscriber; see Channel.subscribe().");

PyMethodDef kCreateQueueFunction = INTERPD_METHOD(
    "create_queue", CreateQueue,
    "create_queue(maxsize=0, *, unbounditems=None)\n--\n\n"
    "As concurrent.interpreters.create_queue(): an anonymous channel. Its bound is 65536 where maxsize is 0.");

}  // namespace interpd::interp
