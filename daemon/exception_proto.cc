#include "daemon/exception_proto.h"

#include <cstddef>

#include "daemon/utf8.h"

namespace interpd::daemon {
namespace {

constexpr int kMaxExceptions = 16;
constexpr size_t kMaxFrames = 200;
constexpr size_t kMaxNotes = 100;
constexpr size_t kMaxTextBytes = 64 << 10;
constexpr size_t kMaxNameBytes = 4 << 10;

// Calls `take` on the elements of `list`; of more than `max`, on the first and the last half.
template <typename List, typename Take>
void Ends(const List& list, size_t max, Take take) {
  size_t skip_from = list.size() > max ? max / 2 : list.size();
  size_t skip_to = list.size() > max ? list.size() - max / 2 : list.size();
  for (size_t i = 0; i < skip_from; ++i) take(list[i]);
  for (size_t i = skip_to; i < list.size(); ++i) take(list[i]);
}

// `budget`: how many more exceptions may be encoded, in the whole tree.
void Encode(const interp::ExceptionInfo& exception, int* budget, v1::ExceptionInfo* out) {
  --*budget;
  out->set_type(Abridge(exception.type, kMaxNameBytes));
  out->set_qualified_name(Abridge(exception.qualified_name, kMaxNameBytes));
  out->set_message(Abridge(exception.message, kMaxTextBytes));
  out->set_formatted(Abridge(exception.formatted, kMaxTextBytes));
  Ends(exception.frames, kMaxFrames, [out](const interp::ExceptionInfo::Frame& frame) {
    v1::Frame* to = out->add_frames();
    to->set_filename(Abridge(frame.filename, kMaxNameBytes));
    to->set_line(frame.line);
    to->set_function(Abridge(frame.function, kMaxNameBytes));
    to->set_source(Abridge(frame.source, kMaxNameBytes));
  });
  Ends(exception.notes, kMaxNotes, [out](const std::string& note) { out->add_notes(Abridge(note, kMaxNameBytes)); });
  if (exception.cause && *budget > 0) Encode(*exception.cause, budget, out->mutable_cause());
  if (exception.context && *budget > 0) Encode(*exception.context, budget, out->mutable_context());
}

}  // namespace

void EncodeException(const interp::ExceptionInfo& exception, v1::ExceptionInfo* out) {
  int budget = kMaxExceptions;
  Encode(exception, &budget, out);
}

}  // namespace interpd::daemon
