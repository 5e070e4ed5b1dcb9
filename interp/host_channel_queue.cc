// The methods of interpd.Channel that are those of concurrent.interpreters.Queue, so that code written for it runs
// unchanged. Better in one thing: a timeout's fraction of a second counts.
#include <utility>

#include "interp/host_arguments.h"
#include "interp/host_channel.h"

namespace interpd::interp {
namespace {

using channels::Outcome;
using channels::Value;

ChannelObject* Self(PyObject* object) { return reinterpret_cast<ChannelObject*>(object); }

PyObject* Put(PyObject* object, PyObject* item, absl::Duration timeout) {
  ChannelObject* self = Self(object);
  Value value;
  // What is not shareable is pickled, as there.
  if (!EncodeMessage(*self->state, item, Pickle::kIfNeeded, &value)) return nullptr;
  Outcome outcome = SendWithin(self, value, timeout);
  if (outcome == Outcome::kTimeout) outcome = Outcome::kFull;
  if (outcome != Outcome::kDone) return RaiseOutcome(*self->state, outcome, self->channel);
  Py_RETURN_NONE;
}

PyObject* Get(PyObject* object, absl::Duration timeout) {
  ChannelObject* self = Self(object);
  Value value;
  Outcome outcome = ReceiveWithin(self, &value, timeout);
  if (outcome == Outcome::kTimeout) outcome = Outcome::kEmpty;
  if (outcome != Outcome::kDone) return RaiseOutcome(*self->state, outcome, self->channel);
  return Deliver(*self->channel, std::move(value));
}

}  // namespace

PyObject* ChannelPut(PyObject* object, PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  // The last two are taken for the sake of such code: a value that was sent outlives its interpreter, and nothing
  // polls.
  static constexpr Signature<5> kSignature = {"put", 1, 3, {"obj", "block", "timeout", "unbounditems", "_delay"}};
  PyObject* given[5];
  absl::Duration timeout;
  if (!kSignature.Bind(args, count, keywords, given)) return nullptr;
  const int block = ParseBool(given[1], true);
  if (block < 0 || !ParseTimeout(given[2], &timeout)) return nullptr;
  return Put(object, given[0], block ? timeout : absl::ZeroDuration());
}

PyObject* ChannelPutNowait(PyObject* object, PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  static constexpr Signature<2> kSignature = {"put_nowait", 1, 1, {"obj", "unbounditems"}};
  PyObject* given[2];
  if (!kSignature.Bind(args, count, keywords, given)) return nullptr;
  return Put(object, given[0], absl::ZeroDuration());
}

PyObject* ChannelGet(PyObject* object, PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  static constexpr Signature<3> kSignature = {"get", 0, 2, {"block", "timeout", "_delay"}};
  PyObject* given[3];
  absl::Duration timeout;
  if (!kSignature.Bind(args, count, keywords, given)) return nullptr;
  const int block = ParseBool(given[0], true);
  if (block < 0 || !ParseTimeout(given[1], &timeout)) return nullptr;
  return Get(object, block ? timeout : absl::ZeroDuration());
}

PyObject* ChannelGetNowait(PyObject* object, PyObject*) { return Get(object, absl::ZeroDuration()); }

PyObject* ChannelQsize(PyObject* object, PyObject*) { return PyLong_FromSize_t(Self(object)->channel->SizeGuess()); }

PyObject* ChannelEmpty(PyObject* object, PyObject*) { return PyBool_FromLong(Self(object)->channel->SizeGuess() == 0); }

PyObject* ChannelFull(PyObject* object, PyObject*) {
  channels::Channel* channel = Self(object)->channel;
  return PyBool_FromLong(channel->SizeGuess() >= channel->capacity());
}

}  // namespace interpd::interp
