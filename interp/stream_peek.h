// Tells whether a standard stream of Python holds text that it has not written, without calling it.
//
// Who includes this: python_executor, which must flush sys.stdout and sys.stderr at the end of each piece of work. To
// flush a stream that holds nothing takes 0.17 us, a seventh of a call; to look takes 5 ns.
//
// Where in a TextIOWrapper and a BufferedWriter the number of waiting bytes stands is CPython's own affair. So it is
// not written down here but learned when CPython starts, by writing to such streams and looking which word of the
// object follows; where that gives no clear answer, streams count as holding something.
//
// Thread safety: Learn once, before others. Else as stated: an attached thread of the stream's interpreter.
#ifndef INTERPD_INTERP_STREAM_PEEK_H_
#define INTERPD_INTERP_STREAM_PEEK_H_

#include "interp/py_ref.h"
#include "interp/python_api.h"

namespace interpd::interp {

class StreamPeek {
 public:
  // Requires: attached to the main interpreter. Returns whether the words were found. No exception is left set.
  static bool Learn();

  // A stream of unknown kind, which counts as holding something.
  StreamPeek() = default;
  // A text stream. No exception is left set.
  explicit StreamPeek(PyObject* text_stream);

  // False only if a flush would write nothing.
  bool MayHoldText() const;

 private:
  PyRef text_;    // null: unknown
  PyRef buffer_;  // what it writes to
};

}  // namespace interpd::interp

#endif  // INTERPD_INTERP_STREAM_PEEK_H_
