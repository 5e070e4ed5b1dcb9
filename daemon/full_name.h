// Names of resources as clients write them, and as the registries know them.
//
// Who includes this: the parsers of each kind's names, and the List methods.
#ifndef INTERPD_DAEMON_FULL_NAME_H_
#define INTERPD_DAEMON_FULL_NAME_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "channels/names.h"
#include "daemon/principal.h"

namespace interpd::daemon {

// 1-63 letters, digits, '_', '-' and '.', the first a letter or digit.
bool IsValidId(std::string_view id);

// "one", as the owner of `space` writes it -> `space` "one". Who has no space may write "unix:alice/one". None: that is
// no name, or not one that this client can say.
std::optional<std::string> FullName(std::string_view space, std::string_view written);

// "unix:alice/one" -> "unix:alice"; empty: the admins'.
std::string OwnerOf(std::string_view full_name);

// A page of what one principal sees. `list(after, limit)` is a registry's; `name_of` tells a resource's full name. With
// `size` + 1 results, there is a next page.
template <typename ListAll, typename NameOf>
auto ListSeen(std::string_view space, std::string_view after, size_t size, ListAll&& list, NameOf&& name_of) {
  auto found = list(std::string(space).append(after), size + 1);
  if (!space.empty()) {
    // Names of one space lie together.
    size_t count = 0;
    while (count < found.size() && channels::SpaceOf(name_of(found[count])) == space) ++count;
    found.erase(found.begin() + static_cast<std::ptrdiff_t>(count), found.end());
  }
  return found;
}

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_FULL_NAME_H_
