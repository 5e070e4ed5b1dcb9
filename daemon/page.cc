#include "daemon/page.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "daemon/errors.h"
#include "daemon/full_name.h"

namespace interpd::daemon {
namespace {

constexpr int32_t kDefaultPageSize = 100;
constexpr int32_t kMaxPageSize = 1000;

// Before the name in a page token: tells our own tokens from anything else.
constexpr std::string_view kTokenPrefix = "after:";

}  // namespace

absl::StatusOr<Page> DecodePage(int32_t page_size, std::string_view page_token) {
  if (page_size < 0) return InvalidField("page_size", "is negative");
  Page page;
  page.size = page_size == 0 ? kDefaultPageSize : std::min(page_size, kMaxPageSize);
  if (page_token.empty()) return page;
  std::string token;
  const bool decoded = absl::WebSafeBase64Unescape(page_token, &token);
  std::string_view after = token;
  if (!decoded || !absl::ConsumePrefix(&after, kTokenPrefix) || !FullName("", after)) {
    return InvalidField("page_token", "is no next_page_token of a List call; leave it empty to start anew");
  }
  page.after = after;
  return page;
}

std::string EncodePageToken(std::string_view name) {
  return absl::WebSafeBase64Escape(absl::StrCat(kTokenPrefix, name));
}

}  // namespace interpd::daemon
