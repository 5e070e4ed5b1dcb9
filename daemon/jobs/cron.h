// Cron: when a job with a cron expression is due.
//
// Who includes this: the validation of jobs, and the engine. Thread safety: as a plain value.
//
// Five fields, as cron(5) has them: minute, hour, day of the month, month, day of the week (0-7, both ends are Sunday).
// Each is '*', a number, a range 1-5, any of those with a step (*/15, 8-18/2), or several with commas; months and days
// of the week may be names of three letters. Where both kinds of day are restricted, either will do. Or one of @hourly,
// @daily, @midnight, @weekly, @monthly, @yearly, @annually.
#ifndef INTERPD_DAEMON_JOBS_CRON_H_
#define INTERPD_DAEMON_JOBS_CRON_H_

#include <bitset>
#include <optional>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace interpd::daemon {

class Cron {
 public:
  // Errors: INVALID_ARGUMENT, whose message says what is wrong and reads on from the name of the field: "has 4 fields".
  static absl::StatusOr<Cron> Parse(std::string_view expression);

  // The first minute behind `time` that fits, in `zone`. A time that the clock skips is taken when it does; one that
  // comes twice, the first time. Where every hour fits it is by time that passes: nothing is taken for what the clock
  // skips, and both times for what it shows twice. None: no such day within the next ten years (February 30).
  std::optional<absl::Time> Next(absl::Time time, absl::TimeZone zone) const;

 private:
  bool DayFits(absl::CivilDay day) const;
  std::optional<absl::Time> NextOfEveryHour(absl::Time time, absl::TimeZone zone) const;
  std::optional<absl::Time> NextOfTheClock(absl::Time time, absl::TimeZone zone) const;

  std::bitset<60> minutes_;
  std::bitset<24> hours_;
  std::bitset<32> days_;
  std::bitset<13> months_;
  std::bitset<8> weekdays_;  // 0: Sunday
  bool any_day_ = false, any_weekday_ = false;
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_JOBS_CRON_H_
