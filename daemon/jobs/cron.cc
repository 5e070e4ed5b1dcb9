#include "daemon/jobs/cron.h"

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/civil_time.h"

namespace interpd::daemon {
namespace {

constexpr int kYears = 10;

struct Field {
  std::string_view name;
  int low, high;
  std::span<const std::string_view> names;  // of low, low + 1, ...
};

constexpr std::array<std::string_view, 12> kMonths = {"jan", "feb", "mar", "apr", "may", "jun",
                                                      "jul", "aug", "sep", "oct", "nov", "dec"};
constexpr std::array<std::string_view, 7> kWeekdays = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};
constexpr std::array<Field, 5> kFields = {{{"minute", 0, 59, {}},
                                           {"hour", 0, 23, {}},
                                           {"day of the month", 1, 31, {}},
                                           {"month", 1, 12, kMonths},
                                           {"day of the week", 0, 7, kWeekdays}}};

constexpr std::pair<std::string_view, std::string_view> kNicknames[] = {
    {"@hourly", "0 * * * *"},  {"@daily", "0 0 * * *"},  {"@midnight", "0 0 * * *"}, {"@weekly", "0 0 * * 0"},
    {"@monthly", "0 0 1 * *"}, {"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"},
};

absl::Status Wrong(const Field& field, std::string_view text, std::string_view problem) {
  return absl::InvalidArgumentError(absl::StrCat("has '", text, "' for the ", field.name, ", which ", problem));
}

std::optional<int> Number(const Field& field, std::string_view text) {
  int number;
  if (text.empty() || text.size() > 3) return std::nullopt;
  if (absl::ascii_isdigit(static_cast<unsigned char>(text[0])) && absl::SimpleAtoi(text, &number)) return number;
  for (size_t i = 0; i < field.names.size(); ++i) {
    if (absl::AsciiStrToLower(text) == field.names[i]) return field.low + static_cast<int>(i);
  }
  return std::nullopt;
}

template <size_t N>
absl::Status ParseField(const Field& field, std::string_view text, std::bitset<N>* bits) {
  for (std::string_view part : absl::StrSplit(text, ',')) {
    std::pair<std::string_view, std::string_view> range_step = absl::StrSplit(part, absl::MaxSplits('/', 1));
    auto [range, step_text] = range_step;
    int low = field.low, high = field.high, step = 1;
    const bool has_step = part.find('/') != part.npos;
    // As much as there are values is the first of them alone.
    const int longest = field.high - field.low + 1;
    if (has_step && (!absl::SimpleAtoi(step_text, &step) || step < 1 || step > longest)) {
      return Wrong(field, part, absl::StrCat("has no step of 1 to ", longest, " behind '/'"));
    }
    if (range != "*") {
      const size_t dash = range.find('-');
      std::optional<int> first = Number(field, range.substr(0, dash));
      std::optional<int> last = dash == range.npos ? first : Number(field, range.substr(dash + 1));
      if (!first || !last) return Wrong(field, part, "is no number, range or '*'");
      if (*first < field.low || *last > field.high || *first > *last) {
        return Wrong(field, part, absl::StrCat("is not within ", field.low, "-", field.high));
      }
      low = *first;
      // "5/15" is from 5 to the end.
      high = dash == range.npos && has_step ? field.high : *last;
    }
    for (int i = low; i <= high; i += step) bits->set(static_cast<size_t>(i));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Cron> Cron::Parse(std::string_view expression) {
  expression = absl::StripAsciiWhitespace(expression);
  for (const auto& [nickname, meaning] : kNicknames) {
    if (expression == nickname) expression = meaning;
  }
  std::vector<std::string_view> fields = absl::StrSplit(expression, absl::ByAnyChar(" \t"), absl::SkipEmpty());
  if (fields.size() != kFields.size()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "has ", fields.size(), fields.size() == 1 ? " field" : " fields",
        "; it needs five: minute, hour, day of the month, month, day of the week, as in '30 6 * * mon-fri'"));
  }
  Cron cron;
  absl::Status parsed[] = {
      ParseField(kFields[0], fields[0], &cron.minutes_), ParseField(kFields[1], fields[1], &cron.hours_),
      ParseField(kFields[2], fields[2], &cron.days_), ParseField(kFields[3], fields[3], &cron.months_),
      ParseField(kFields[4], fields[4], &cron.weekdays_)};
  for (const absl::Status& status : parsed) {
    if (!status.ok()) return status;
  }
  if (cron.weekdays_[7]) cron.weekdays_.set(0);
  cron.any_day_ = fields[2].starts_with('*');
  cron.any_weekday_ = fields[4].starts_with('*');
  return cron;
}

bool Cron::DayFits(absl::CivilDay day) const {
  if (!months_[static_cast<size_t>(day.month())]) return false;
  const bool day_fits = days_[static_cast<size_t>(day.day())];
  // absl counts from Monday.
  const bool weekday_fits = weekdays_[(static_cast<size_t>(absl::GetWeekday(day)) + 1) % 7];
  return any_day_ || any_weekday_ ? day_fits && weekday_fits : day_fits || weekday_fits;
}

std::optional<absl::Time> Cron::Next(absl::Time time, absl::TimeZone zone) const {
  return hours_.all() ? NextOfEveryHour(time, zone) : NextOfTheClock(time, zone);
}

// By time that passes: an hour that comes twice has its minutes twice, and one that is skipped has none.
std::optional<absl::Time> Cron::NextOfEveryHour(absl::Time time, absl::TimeZone zone) const {
  const absl::TimeZone::CivilInfo now = zone.At(time);
  absl::Time next = time - absl::Seconds(now.cs.second()) - now.subsecond + absl::Minutes(1);
  const absl::CivilYear last = absl::CivilYear(now.cs) + kYears;
  for (;;) {
    const absl::CivilMinute minute = absl::ToCivilMinute(next, zone);
    if (absl::CivilYear(minute) > last) return std::nullopt;
    if (!DayFits(absl::CivilDay(minute))) {
      const absl::TimeZone::TimeInfo info = zone.At(absl::CivilSecond(absl::CivilDay(minute) + 1));
      next = info.kind == absl::TimeZone::TimeInfo::SKIPPED ? info.trans : info.pre;
    } else if (!minutes_[static_cast<size_t>(minute.minute())]) {
      next += absl::Minutes(1);
    } else {
      return next;
    }
  }
}

// By what the clock shows.
std::optional<absl::Time> Cron::NextOfTheClock(absl::Time time, absl::TimeZone zone) const {
  absl::CivilMinute minute = absl::ToCivilMinute(time, zone) + 1;
  const absl::CivilYear last = absl::CivilYear(minute) + kYears;
  while (absl::CivilYear(minute) <= last) {
    if (!DayFits(absl::CivilDay(minute))) {
      minute = absl::CivilMinute(absl::CivilDay(minute) + 1);
    } else if (!hours_[static_cast<size_t>(minute.hour())]) {
      minute = absl::CivilMinute(absl::CivilHour(minute) + 1);
    } else if (!minutes_[static_cast<size_t>(minute.minute())]) {
      ++minute;
    } else {
      absl::TimeZone::TimeInfo info = zone.At(absl::CivilSecond(minute));
      const absl::Time found = info.kind == absl::TimeZone::TimeInfo::SKIPPED ? info.trans : info.pre;
      if (found > time) return found;
      ++minute;  // the second time that the clock shows it
    }
  }
  return std::nullopt;
}

}  // namespace interpd::daemon
