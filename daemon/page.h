// Pages of lists that are in the order of their names.
//
// Who includes this: the List methods.
#ifndef INTERPD_DAEMON_PAGE_H_
#define INTERPD_DAEMON_PAGE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace interpd::daemon {

struct Page {
  size_t size = 0;
  std::string after;  // the name that the page before ended with; empty: the first page
};

// A page ends early once its answers have so many bytes.
inline constexpr size_t kPageBytes = size_t{1} << 20;

// What a List request says. Errors: INVALID_FIELD: a negative page_size, or a page_token that EncodePageToken did not
// make.
absl::StatusOr<Page> DecodePage(int32_t page_size, std::string_view page_token);

// For the page behind the one that ends with `name`.
std::string EncodePageToken(std::string_view name);

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_PAGE_H_
