// Interpreters as the public contract names and describes them.
//
// Who includes this: the RPCs that take a name or answer with an interpreter.
#ifndef INTERPD_DAEMON_INTERPRETER_PROTO_H_
#define INTERPD_DAEMON_INTERPRETER_PROTO_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "daemon/full_name.h"
#include "daemon/principal.h"
#include "interp/interpreter.h"
#include "interpd/v1/interpreters.pb.h"

namespace interpd::daemon {

// "interpreters/one" of that principal -> its full name. Errors: INVALID_FIELD with that field.
absl::StatusOr<std::string> ParseName(const Principal& principal, std::string_view name,
                                      std::string_view field = "name");

// Its full resource name, as an admin writes it.
std::string NameOf(const interp::Interpreter& interpreter);

v1::Interpreter::State EncodeState(interp::State state);
v1::Output::Stream EncodeStream(interp::Stream stream);

// `setup_source` can be long, so lists leave it out.
enum class SetupSource { kInclude, kOmit };
// As that principal sees it; a viewer sees no source.
void EncodeInterpreter(const Principal& principal, const interp::Interpreter& interpreter, SetupSource setup_source,
                       v1::Interpreter* out);

// A client's configuration with the daemon's defaults filled in. Errors: INVALID_FIELD.
absl::StatusOr<interp::InterpreterConfig> DecodeConfig(const v1::InterpreterConfig& config,
                                                       const interp::InterpreterConfig& defaults);

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_INTERPRETER_PROTO_H_
