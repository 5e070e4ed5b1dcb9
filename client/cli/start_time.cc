#include "client/cli/start_time.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/civil_time.h"
#include "client/cli/session.h"

namespace interpd::client {

absl::StatusOr<absl::Time> ParseStartTime(const std::string& text, absl::Time now, absl::TimeZone zone) {
  if (text.starts_with('+')) {
    absl::StatusOr<absl::Duration> pause = ParseDuration(text.substr(1));
    if (!pause.ok()) return pause.status();
    if (*pause == absl::InfiniteDuration()) return absl::InvalidArgumentError("this must be a finite time");
    return now + *pause;
  }
  absl::Time time;
  std::string error;
  // absl takes "infinite-past" and white space too; a date begins with a digit.
  if (!text.empty() && absl::ascii_isdigit(static_cast<unsigned char>(text[0]))) {
    if (absl::ParseTime(absl::RFC3339_full, text, &time, &error)) return time;
    for (const char* form : {"%Y-%m-%d %H:%M:%E*S", "%Y-%m-%dT%H:%M:%E*S", "%Y-%m-%d %H:%M"}) {
      if (absl::ParseTime(form, text, zone, &time, &error)) return time;
    }
    for (const char* form : {"%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M"}) {
      const absl::CivilDay today = absl::CivilDay(absl::ToCivilSecond(now, zone));
      if (!absl::ParseTime(form, absl::StrCat(absl::FormatCivilTime(today), " ", text), zone, &time, &error)) continue;
      if (time > now) return time;
      // Not a day's seconds later: clocks may be changed in between.
      const std::string tomorrow = absl::StrCat(absl::FormatCivilTime(today + 1), " ", text);
      if (absl::ParseTime(form, tomorrow, zone, &time, &error)) return time;
    }
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "\"", text, "\" is no time; say 2030-01-31T12:00:00Z, \"2030-01-31 12:00\", 12:00 (the next one) or +30m"));
}

}  // namespace interpd::client
