// Builds constants: decides what becomes what, refuses what cannot be in one, and says where it is.
//
// Who includes this: constant_pool, for what comes as a Value; the host module, for objects that hosted code publishes.
//
// Requires an attached thread, of whichever interpreter; leaves no Python exception set. No Python code runs, and the
// thread stays attached: what is published cannot change meanwhile.
//
// Errors: as ConstantPool::Build. Nothing is left of what fails.
#ifndef INTERPD_INTERP_CONSTANT_BUILDER_H_
#define INTERPD_INTERP_CONSTANT_BUILDER_H_

#include <cstddef>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "channels/shared.h"
#include "channels/value.h"
#include "interp/constant.h"
#include "interp/python_api.h"

namespace interpd::interp {

struct ConstantLimits {
  size_t max_bytes = size_t{2} << 30;
  int max_depth = channels::kMaxValueDepth;
};

absl::StatusOr<channels::Ref<BuiltConstant>> BuildConstant(const channels::Value& value, const ConstantLimits& limits,
                                                           absl::AnyInvocable<bool(double)> progress);

// Objects that occur in several places of `object` are one in the constant.
absl::StatusOr<channels::Ref<BuiltConstant>> BuildConstant(PyObject* object, const ConstantLimits& limits);

}  // namespace interpd::interp

#endif  // INTERPD_INTERP_CONSTANT_BUILDER_H_
