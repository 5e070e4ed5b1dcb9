// Constants as the public contract names and describes them.
//
// Who includes this: the RPCs of constants. Thread safety: any thread that belongs to no interpreter.
#ifndef INTERPD_DAEMON_CONSTANT_PROTO_H_
#define INTERPD_DAEMON_CONSTANT_PROTO_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "daemon/constant_store.h"
#include "daemon/principal.h"
#include "interp/constant_pool.h"
#include "interpd/v1/constants.pb.h"

namespace interpd::daemon {

// "constants/one" of that principal -> its full name. Errors: INVALID_FIELD with that field.
absl::StatusOr<std::string> ParseConstantName(const Principal& principal, std::string_view name,
                                              std::string_view field = "name");

// As that principal sees it.
void EncodeConstant(const Principal& principal, const interp::ConstantInfo& info, const ConstantStore& store,
                    v1::Constant* out);

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_CONSTANT_PROTO_H_
