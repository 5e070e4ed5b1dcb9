#include "daemon/jobs/cron.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/time/time.h"

namespace interpd::daemon {
namespace {

absl::TimeZone Zone(const char* name) {
  absl::TimeZone zone;
  EXPECT_TRUE(absl::LoadTimeZone(name, &zone)) << name;
  return zone;
}

// The first time behind `from` that an expression fits, as local time.
std::string Next(const char* expression, const char* from, absl::TimeZone zone = absl::UTCTimeZone()) {
  absl::Time time;
  std::string error;
  EXPECT_TRUE(absl::ParseTime("%Y-%m-%d %H:%M:%S", from, zone, &time, &error)) << error;
  absl::StatusOr<Cron> cron = Cron::Parse(expression);
  if (!cron.ok()) return std::string(cron.status().message());
  std::optional<absl::Time> next = cron->Next(time, zone);
  return next ? absl::FormatTime("%a %Y-%m-%d %H:%M:%S", *next, zone) : "never";
}

TEST(CronTest, Fields) {
  EXPECT_EQ(Next("* * * * *", "2026-11-24 23:59:30"), "Wed 2026-11-25 00:00:00");
  EXPECT_EQ(Next("*/15 * * * *", "2026-11-24 10:15:00"), "Tue 2026-11-24 10:30:00");
  EXPECT_EQ(Next("5/20 * * * *", "2026-11-24 10:30:00"), "Tue 2026-11-24 10:45:00");
  EXPECT_EQ(Next("30 6 * * mon-fri", "2026-11-27 06:30:00"), "Mon 2026-11-30 06:30:00");
  EXPECT_EQ(Next("0 0 1,15 feb *", "2026-03-01 00:00:00"), "Mon 2027-02-01 00:00:00");
  EXPECT_EQ(Next("0 12 * * 7", "2026-11-24 00:00:00"), "Sun 2026-11-29 12:00:00");
  EXPECT_EQ(Next("0 0 29 2 *", "2026-01-01 00:00:00"), "Tue 2028-02-29 00:00:00");
  EXPECT_EQ(Next("@weekly", "2026-11-24 00:00:00"), "Sun 2026-11-29 00:00:00");
  EXPECT_EQ(Next("@yearly", "2026-11-24 00:00:00"), "Fri 2027-01-01 00:00:00");
  EXPECT_EQ(Next("0 0 30 2 *", "2026-01-01 00:00:00"), "never");
}

TEST(CronTest, EitherKindOfDayWillDo) {
  // The 13th, or a Friday.
  EXPECT_EQ(Next("0 0 13 * fri", "2026-11-24 00:00:00"), "Fri 2026-11-27 00:00:00");
  EXPECT_EQ(Next("0 0 13 * fri", "2026-12-11 00:00:00"), "Sun 2026-12-13 00:00:00");
  // With a '*' in one of them, the other decides.
  EXPECT_EQ(Next("0 0 13 * *", "2026-11-24 00:00:00"), "Sun 2026-12-13 00:00:00");
}

TEST(CronTest, ClocksThatJump) {
  const absl::TimeZone berlin = Zone("Europe/Berlin");
  // 02:30 does not exist that night: taken when the clock skips it.
  EXPECT_EQ(Next("30 2 * * *", "2026-03-28 12:00:00", berlin), "Sun 2026-03-29 03:00:00");
  EXPECT_EQ(Next("30 2 * * *", "2026-03-29 03:00:00", berlin), "Mon 2026-03-30 02:30:00");
  // 02:30 comes twice: once is enough.
  absl::StatusOr<Cron> cron = Cron::Parse("30 2 * * *");
  ASSERT_TRUE(cron.ok());
  const absl::Time first = *cron->Next(absl::FromCivil(absl::CivilHour(2026, 10, 24, 12), berlin), berlin);
  const absl::Time second = *cron->Next(first, berlin);
  EXPECT_EQ(second - first, absl::Hours(25));
}

TEST(CronTest, EveryHourGoesOnWhenClocksJump) {
  const absl::TimeZone berlin = Zone("Europe/Berlin");
  const auto times = [&](const char* expression, absl::CivilHour from, absl::CivilHour to) {
    std::vector<absl::Duration> since;  // the one before
    absl::StatusOr<Cron> cron = Cron::Parse(expression);
    EXPECT_TRUE(cron.ok()) << cron.status();
    absl::Time last = absl::FromCivil(from, berlin);
    for (;;) {
      const absl::Time next = *cron->Next(last, berlin);
      if (next > absl::FromCivil(to, berlin)) return since;
      since.push_back(next - last);
      last = next;
    }
  };
  // 02:00 to 03:00 comes twice that night.
  EXPECT_EQ(times("*/15 * * * *", absl::CivilHour(2026, 10, 25, 0), absl::CivilHour(2026, 10, 25, 4)),
            std::vector<absl::Duration>(5 * 4, absl::Minutes(15)));
  // And it does not exist that one.
  EXPECT_EQ(times("*/15 * * * *", absl::CivilHour(2026, 3, 29, 0), absl::CivilHour(2026, 3, 29, 4)),
            std::vector<absl::Duration>(3 * 4, absl::Minutes(15)));
  EXPECT_EQ(times("0 * * * *", absl::CivilHour(2026, 3, 29, 0), absl::CivilHour(2026, 3, 29, 4)),
            std::vector<absl::Duration>(3, absl::Hours(1)));
  // Days are still the calendar's.
  EXPECT_EQ(Next("0 * * * mon", "2026-10-24 12:30:10", berlin), "Mon 2026-10-26 00:00:00");
  EXPECT_EQ(Next("@hourly", "2026-10-24 12:59:59", berlin), "Sat 2026-10-24 13:00:00");
}

TEST(CronTest, SaysWhatIsWrong) {
  const std::pair<const char*, const char*> wrong[] = {
      {"", "0 fields"},
      {"* * * *", "4 fields"},
      {"60 * * * *", "minute"},
      {"* 24 * * *", "hour"},
      {"* * 0 * *", "day of the month"},
      {"* * * 13 *", "month"},
      {"* * * * 8", "week"},
      {"*/0 * * * *", "step"},
      {"5/2147483647 * * * *", "step of 1 to 60"},
      {"* */25 * * *", "step of 1 to 24"},
      {"5-1 * * * *", "5-1"},
      {"a * * * *", "'a'"},
      {"1,,2 * * * *", "''"},
      {"@never", "1 field"},
      {"* * * * mon-", "mon-"},
      {"-1 * * * *", "'-1'"},
  };
  for (const auto& [expression, part] : wrong) {
    absl::StatusOr<Cron> cron = Cron::Parse(expression);
    ASSERT_FALSE(cron.ok()) << expression;
    EXPECT_TRUE(absl::StrContains(cron.status().message(), part)) << expression << ": " << cron.status();
  }
}

}  // namespace
}  // namespace interpd::daemon
