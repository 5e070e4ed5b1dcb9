// interpd.Channel's insides, for the files host_channel*.cc that share them.
#ifndef INTERPD_INTERP_HOST_CHANNEL_H_
#define INTERPD_INTERP_HOST_CHANNEL_H_

#include "channels/channel.h"
#include "channels/value.h"
#include "interp/host_state.h"
#include "interp/python_api.h"

namespace interpd::interp {

struct ChannelObject {
  PyObject_HEAD channels::Channel* channel;  // owned
  HostState* state;                          // the module outlives its types, and they their objects
  PyObject* weak_references;
};

enum class Pickle { kNo, kYes, kIfNeeded };

// False with NotShareableError or what pickling raised set.
bool EncodeMessage(HostState& state, PyObject* object, Pickle pickle, channels::Value* value);

// What was received, as an object. An interrupt that came meanwhile is raised instead, and the value goes back to the
// head of the channel: who is interrupted has received nothing.
PyObject* Deliver(channels::Channel& channel, channels::Value value);

// Sends what was encoded, waiting for room at most so long.
channels::Outcome SendWithin(ChannelObject* self, channels::Value& value, absl::Duration timeout);
channels::Outcome ReceiveWithin(ChannelObject* self, channels::Value* value, absl::Duration timeout);

// The methods. host_channel.cc:
PyObject* ChannelSend(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* keywords);
PyObject* ChannelTrySend(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* keywords);
PyObject* ChannelRecv(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* keywords);
PyObject* ChannelTryRecv(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* keywords);
PyObject* ChannelNext(PyObject* self);
// host_channel_many.cc:
PyObject* ChannelSendMany(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* keywords);
PyObject* ChannelRecvMany(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* keywords);
// host_channel_queue.cc, the face of concurrent.interpreters.Queue:
PyObject* ChannelPut(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* keywords);
PyObject* ChannelPutNowait(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* keywords);
PyObject* ChannelGet(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* keywords);
PyObject* ChannelGetNowait(PyObject* self, PyObject* unused);
PyObject* ChannelQsize(PyObject* self, PyObject* unused);
PyObject* ChannelEmpty(PyObject* self, PyObject* unused);
PyObject* ChannelFull(PyObject* self, PyObject* unused);

}  // namespace interpd::interp

#endif  // INTERPD_INTERP_HOST_CHANNEL_H_
