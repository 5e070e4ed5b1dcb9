// interpd.Channel: sending and receiving, one value at a time.
#include "interp/host_channel.h"

#include <utility>
#include <vector>

#include "interp/host_arguments.h"
#include "interp/host_wait.h"
#include "interp/value_codec.h"

namespace interpd::interp {
namespace {

using channels::Channel;
using channels::Outcome;
using channels::Ref;
using channels::Value;

ChannelObject* Self(PyObject* object) { return reinterpret_cast<ChannelObject*>(object); }

PyObject* Fail(ChannelObject* self, Outcome outcome) { return RaiseOutcome(*self->state, outcome, self->channel); }

// pickle.dumps(object) as a Value.
bool PickleMessage(HostState& state, PyObject* object, Value* value) {
  PyRef pickle = PyRef::Steal(PyImport_ImportModule("pickle"));
  PyRef bytes = pickle ? PyRef::Steal(PyObject_CallMethod(pickle.get(), "dumps", "Oi", object, -1)) : PyRef();
  if (!bytes) return false;
  if (!PyBytes_Check(bytes.get())) {
    PyErr_SetString(PyExc_TypeError, "pickle.dumps() has returned no bytes");
    return false;
  }
  const size_t size = static_cast<size_t>(PyBytes_GET_SIZE(bytes.get()));
  if (size > state.link->access().limits.max_bytes) {
    PyErr_Format(state.not_shareable.get(), "the value takes %zu bytes as a pickle, %zu are allowed", size,
                 state.link->access().limits.max_bytes);
    return false;
  }
  *value = Value::Text(channels::Kind::kPickle, {PyBytes_AS_STRING(bytes.get()), size});
  return true;
}

}  // namespace

// ---- for the other files ------------------------------------------------------------------------------------------

bool EncodeMessage(HostState& state, PyObject* object, Pickle pickle, Value* value) {
  if (pickle == Pickle::kYes) return PickleMessage(state, object, value);
  if (EncodeSimple(object, value)) return true;
  absl::StatusOr<Value> encoded = Encode(object, state.link->access().limits);
  if (encoded.ok()) {
    *value = *std::move(encoded);
    return true;
  }
  if (pickle == Pickle::kIfNeeded) {
    if (PickleMessage(state, object, value)) return true;
    // What pickle says of it matters less than that it is not shareable.
    if (!PyErr_ExceptionMatches(PyExc_Exception)) return false;
    PyErr_Clear();
  }
  RaiseNotShareable(state, encoded.status());
  return false;
}

Outcome SendWithin(ChannelObject* self, Value& value, absl::Duration timeout) {
  const Outcome outcome = self->channel->TrySend(value);
  if (outcome != Outcome::kFull) return outcome;
  if (timeout == absl::ZeroDuration()) return Outcome::kTimeout;
  return WaitDetached(*self->state, timeout,
                      [&](const channels::Wait& wait) { return self->channel->Send(value, wait); });
}

Outcome ReceiveWithin(ChannelObject* self, Value* value, absl::Duration timeout) {
  // Detaching and attaching takes longer than a value from another core, if nobody else wants to run here.
  const Outcome outcome = timeout != absl::ZeroDuration() && IsOnlyThread() ? self->channel->PollRecv(value)
                                                                            : self->channel->TryRecv(value);
  if (outcome != Outcome::kEmpty) return outcome;
  if (timeout == absl::ZeroDuration()) return Outcome::kTimeout;
  return WaitDetached(*self->state, timeout,
                      [&](const channels::Wait& wait) { return self->channel->Recv(value, wait); });
}

PyObject* Deliver(Channel& channel, Value value) {
  if (CheckInterrupts() < 0) {
    std::vector<Value> back;
    back.push_back(std::move(value));
    channel.Return(std::move(back));
    return nullptr;
  }
  return Decode(std::move(value)).release();
}

// ---- sending and receiving ----------------------------------------------------------------------------------

PyObject* ChannelSend(PyObject* object, PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  static constexpr Signature<3> kSignature = {"send", 1, 2, {"value", "timeout", "pickle"}};
  ChannelObject* self = Self(object);
  Value value;
  absl::Duration timeout = absl::InfiniteDuration();
  if (count == 1 && keywords == nullptr) {
    if (!EncodeMessage(*self->state, args[0], Pickle::kNo, &value)) return nullptr;
  } else {
    PyObject* given[3];
    if (!kSignature.Bind(args, count, keywords, given) || !ParseTimeout(given[1], &timeout)) return nullptr;
    const int pickle = ParseBool(given[2], false);
    if (pickle < 0 || !EncodeMessage(*self->state, given[0], pickle ? Pickle::kYes : Pickle::kNo, &value)) {
      return nullptr;
    }
  }
  const Outcome outcome = SendWithin(self, value, timeout);
  if (outcome != Outcome::kDone) return Fail(self, outcome);
  Py_RETURN_NONE;
}

PyObject* ChannelTrySend(PyObject* object, PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  static constexpr Signature<2> kSignature = {"try_send", 1, 1, {"value", "pickle"}};
  ChannelObject* self = Self(object);
  PyObject* given[2];
  if (!kSignature.Bind(args, count, keywords, given)) return nullptr;
  const int pickle = ParseBool(given[1], false);
  Value value;
  if (pickle < 0 || !EncodeMessage(*self->state, given[0], pickle ? Pickle::kYes : Pickle::kNo, &value)) return nullptr;
  const Outcome outcome = self->channel->TrySend(value);
  if (outcome != Outcome::kDone) return Fail(self, outcome);
  Py_RETURN_NONE;
}

// ---- receiving ----------------------------------------------------------------------------------------------------

PyObject* ChannelRecv(PyObject* object, PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  static constexpr Signature<1> kSignature = {"recv", 0, 1, {"timeout"}};
  ChannelObject* self = Self(object);
  absl::Duration timeout = absl::InfiniteDuration();
  if (count != 0 || keywords != nullptr) {
    PyObject* given[1];
    if (!kSignature.Bind(args, count, keywords, given) || !ParseTimeout(given[0], &timeout)) return nullptr;
  }
  Value value;
  const Outcome outcome = ReceiveWithin(self, &value, timeout);
  if (outcome != Outcome::kDone) return Fail(self, outcome);
  return Deliver(*self->channel, std::move(value));
}

PyObject* ChannelTryRecv(PyObject* object, PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  static constexpr Signature<1> kSignature = {"try_recv", 0, 1, {"default"}};
  ChannelObject* self = Self(object);
  PyObject* given[1];
  if (!kSignature.Bind(args, count, keywords, given)) return nullptr;
  Value value;
  const Outcome outcome = self->channel->TryRecv(&value);
  if (outcome == Outcome::kEmpty && given[0] != nullptr) return Py_NewRef(given[0]);
  if (outcome != Outcome::kDone) return Fail(self, outcome);
  return Deliver(*self->channel, std::move(value));
}

PyObject* ChannelNext(PyObject* object) {
  ChannelObject* self = Self(object);
  Value value;
  const Outcome outcome = ReceiveWithin(self, &value, absl::InfiniteDuration());
  if (outcome == Outcome::kClosed) return nullptr;  // without an exception: the end of the iteration
  if (outcome != Outcome::kDone) return Fail(self, outcome);
  return Deliver(*self->channel, std::move(value));
}

}  // namespace interpd::interp
