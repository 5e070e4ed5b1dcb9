// interp::ExceptionInfo -> interpd.v1.ExceptionInfo.
#ifndef INTERPD_DAEMON_EXCEPTION_PROTO_H_
#define INTERPD_DAEMON_EXCEPTION_PROTO_H_

#include "interp/exception_info.h"
#include "interpd/v1/interpreters.pb.h"

namespace interpd::daemon {

// Bounded, whatever the exception holds: at most 16 exceptions along causes and contexts, 200 frames and 100 notes
// each (the first and the last half of them), 64 KiB of a text. Bytes that are no UTF-8 become U+FFFD.
void EncodeException(const interp::ExceptionInfo& exception, v1::ExceptionInfo* out);

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_EXCEPTION_PROTO_H_
