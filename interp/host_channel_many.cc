// interpd.Channel.send_many and recv_many.
#include <algorithm>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "interp/host_arguments.h"
#include "interp/host_channel.h"
#include "interp/host_wait.h"

namespace interpd::interp {
namespace {

using channels::Outcome;
using channels::Value;

// Values that are encoded before any of them is sent: enough to make the ring's part small, few enough for the caches.
constexpr size_t kBatch = 256;

ChannelObject* Self(PyObject* object) { return reinterpret_cast<ChannelObject*>(object); }

// Adds `sent` to the exception that is set, if it can be told it.
void NoteSent(size_t sent) {
  PyObject* exception = PyErr_GetRaisedException();
  PyRef count = PyRef::Steal(PyLong_FromSize_t(sent));
  if (!count || PyObject_SetAttrString(exception, "sent", count.get()) < 0) PyErr_Clear();
  PyErr_SetRaisedException(exception);
}

Outcome SendAll(ChannelObject* self, absl::Span<Value> values, size_t* sent, absl::Duration timeout) {
  *sent = 0;
  return WaitDetached(*self->state, timeout, [&](const channels::Wait& wait) {
    size_t now = 0;
    const Outcome outcome = self->channel->SendMany(values.subspan(*sent), &now, wait);
    *sent += now;
    return outcome;
  });
}

}  // namespace

PyObject* ChannelSendMany(PyObject* object, PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  static constexpr Signature<2> kSignature = {"send_many", 1, 2, {"values", "timeout"}};
  ChannelObject* self = Self(object);
  PyObject* given[2];
  absl::Duration timeout;
  if (!kSignature.Bind(args, count, keywords, given) || !ParseTimeout(given[1], &timeout)) return nullptr;
  PyRef iterator = PyRef::Steal(PyObject_GetIter(given[0]));
  if (!iterator) return nullptr;
  const auto deadline = channels::Deadline::After(timeout);

  size_t total = 0;
  std::vector<Value> batch;
  batch.reserve(kBatch);
  bool more = true;
  while (more) {
    batch.clear();
    bool encoded = true;
    while (batch.size() < kBatch) {
      PyRef item = PyRef::Steal(PyIter_Next(iterator.get()));
      if (!item) {
        more = false;
        encoded = !PyErr_Occurred();
        break;
      }
      Value value;
      encoded = EncodeMessage(*self->state, item.get(), Pickle::kNo, &value);
      if (!encoded) {
        more = false;
        break;
      }
      batch.push_back(std::move(value));
    }
    // What came before an error is sent, as by single sends.
    PyRef error = PyRef::Steal(encoded ? nullptr : PyErr_GetRaisedException());
    size_t sent = 0;
    if (!batch.empty()) {
      const Outcome outcome =
          SendAll(self, absl::MakeSpan(batch), &sent, timeout == absl::InfiniteDuration() ? timeout : deadline.Left());
      total += sent;
      if (outcome != Outcome::kDone) {
        RaiseOutcome(*self->state, outcome, self->channel);
        NoteSent(total);
        return nullptr;
      }
    }
    if (error) {
      PyErr_SetRaisedException(error.release());
      NoteSent(total);
      return nullptr;
    }
  }
  return PyLong_FromSize_t(total);
}

PyObject* ChannelRecvMany(PyObject* object, PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  static constexpr Signature<2> kSignature = {"recv_many", 1, 2, {"max", "timeout"}};
  ChannelObject* self = Self(object);
  PyObject* given[2];
  absl::Duration timeout;
  if (!kSignature.Bind(args, count, keywords, given) || !ParseTimeout(given[1], &timeout)) return nullptr;
  const Py_ssize_t max = PyNumber_AsSsize_t(given[0], nullptr);
  if (max == -1 && PyErr_Occurred()) return nullptr;
  if (max < 1) {
    PyErr_SetString(PyExc_ValueError, "max must be at least 1");
    return nullptr;
  }
  std::vector<Value> values;
  const Outcome outcome = WaitDetached(*self->state, timeout, [&](const channels::Wait& wait) {
    return self->channel->RecvMany(static_cast<size_t>(max), &values, wait);
  });
  if (outcome != Outcome::kDone) return RaiseOutcome(*self->state, outcome, self->channel);
  if (CheckInterrupts() < 0) {
    self->channel->Return(std::move(values));
    return nullptr;
  }
  PyRef list = PyRef::Steal(PyList_New(static_cast<Py_ssize_t>(values.size())));
  for (size_t i = 0; list && i < values.size(); ++i) {
    PyRef item = Decode(std::move(values[i]));
    if (!item) {
      // The rest was not received.
      values.erase(values.begin(), values.begin() + static_cast<ptrdiff_t>(i) + 1);
      self->channel->Return(std::move(values));
      return nullptr;
    }
    PyList_SET_ITEM(list.get(), static_cast<Py_ssize_t>(i), item.release());
  }
  return list.release();
}

}  // namespace interpd::interp
