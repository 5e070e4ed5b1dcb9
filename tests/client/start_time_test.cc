// Times as `--at` takes them.
#include "client/cli/start_time.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace interpd::client {
namespace {

class StartTimeTest : public testing::Test {
 protected:
  StartTimeTest() { EXPECT_TRUE(absl::LoadTimeZone("Europe/Zurich", &zone_)); }

  absl::Time At(int year, int month, int day, int hour, int minute, int second = 0) const {
    return absl::FromCivil(absl::CivilSecond(year, month, day, hour, minute, second), zone_);
  }

  absl::Time Parse(const std::string& text, absl::Time now) const {
    absl::StatusOr<absl::Time> time = ParseStartTime(text, now, zone_);
    EXPECT_TRUE(time.ok()) << text << ": " << time.status();
    return time.value_or(absl::InfinitePast());
  }

  absl::TimeZone zone_;
};

TEST_F(StartTimeTest, ADateWithATimeMayHaveAZoneOfItsOwn) {
  const absl::Time now = At(2030, 1, 31, 10, 0);
  EXPECT_EQ(Parse("2030-01-31T12:00:00Z", now), absl::FromUnixSeconds(1896091200));
  EXPECT_EQ(Parse("2030-01-31T12:00:00+01:00", now), At(2030, 1, 31, 12, 0));
  EXPECT_EQ(Parse("2030-01-31 12:00", now), At(2030, 1, 31, 12, 0));
  EXPECT_EQ(Parse("2030-01-31 12:00:30", now), At(2030, 1, 31, 12, 0, 30));
  EXPECT_EQ(Parse("2030-07-31T12:00:30", now), At(2030, 7, 31, 12, 0, 30));
}

TEST_F(StartTimeTest, ATimeOfDayIsTheNextOne) {
  EXPECT_EQ(Parse("12:00", At(2030, 1, 31, 10, 0)), At(2030, 1, 31, 12, 0));
  EXPECT_EQ(Parse("12:00:05", At(2030, 1, 31, 12, 0, 4)), At(2030, 1, 31, 12, 0, 5));
  EXPECT_EQ(Parse("12:00", At(2030, 1, 31, 12, 0)), At(2030, 2, 1, 12, 0));
  // The night in which clocks are put forward has 23 hours.
  EXPECT_EQ(Parse("12:00", At(2030, 3, 30, 13, 0)), At(2030, 3, 31, 12, 0));
}

TEST_F(StartTimeTest, APauseCountsFromNow) {
  const absl::Time now = At(2030, 1, 31, 10, 0);
  EXPECT_EQ(Parse("+30m", now), now + absl::Minutes(30));
  EXPECT_EQ(Parse("+1.5", now), now + absl::Milliseconds(1500));
}

TEST_F(StartTimeTest, AllElseIsRefused) {
  for (const char* bad :
       {"", "soon", "25:00", "12", "2030-01-31", "2030-02-30 12:00", "+", "+inf", "+-1", "infinite-future", "-30m"}) {
    EXPECT_FALSE(ParseStartTime(bad, At(2030, 1, 31, 10, 0), zone_).ok()) << bad;
  }
}

}  // namespace
}  // namespace interpd::client
