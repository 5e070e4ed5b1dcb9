// The rule for names of resources: interpreters, channels, constants.
//
// A name is an ID, "one", or an ID in a space of names, "unix:alice/one": spaces keep what different owners name alike
// apart. All up to the last '/' is the space; IDs have none. Who owns a space is the daemon's business.
//
// Who includes this: the registries, hosted code's way in, the daemon. Thread safety: plain functions.
#ifndef INTERPD_CHANNELS_NAMES_H_
#define INTERPD_CHANNELS_NAMES_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace interpd::channels {

// "unix:alice/one" -> "unix:alice/"; of a name without a space: empty.
std::string_view SpaceOf(std::string_view name);
// "unix:alice/one" -> "one".
std::string_view IdOf(std::string_view name);

// Whether `name`, an ID, has 1 to 63 characters, letters, digits, '_', '-' and '.', the first a letter or digit. If
// not, INVALID_FIELD with that `field`; `what` goes into the message: "a channel".
absl::Status CheckName(std::string_view name, std::string_view what, std::string_view field);

// For messages that say that there is no such name: "; there are: a, b", of what is in the same space, as long as it is
// not much. `names` are all of that space.
std::string ThereAre(const std::vector<std::string_view>& names);
// How many names ThereAre has a use for.
inline constexpr size_t kNamesInMessages = 10;

// The same, from a sorted map from names to anything.
template <typename Map>
std::string ThereAre(const Map& map, std::string_view space) {
  std::vector<std::string_view> names;
  for (auto it = map.lower_bound(space); it != map.end() && names.size() <= kNamesInMessages; ++it) {
    if (SpaceOf(it->first) == space) {
      names.push_back(it->first);
    } else if (!space.empty()) {
      break;  // behind the last of the space; names without one lie between the spaces
    }
  }
  return ThereAre(names);
}

}  // namespace interpd::channels

#endif  // INTERPD_CHANNELS_NAMES_H_
