// The rule for names of resources: interpreters, channels, constants.
//
// Who includes this: the registries. Thread safety: plain functions.
#ifndef INTERPD_CHANNELS_NAMES_H_
#define INTERPD_CHANNELS_NAMES_H_

#include <string_view>

#include "absl/status/status.h"

namespace interpd::channels {

// Whether `name` has 1 to 63 characters, letters, digits, '_', '-' and '.', the first a letter or digit. If not,
// INVALID_FIELD with that `field`; `what` goes into the message: "a channel".
absl::Status CheckName(std::string_view name, std::string_view what, std::string_view field);

}  // namespace interpd::channels

#endif  // INTERPD_CHANNELS_NAMES_H_
