#include "base/time.h"

#include <cstdio>
#include <ctime>

#include "base/text.h"

namespace cofferdam {
namespace {

// `value` in decimal, with leading zeros, at `at`; answers the place behind it.
char* put_digits(char* at, unsigned value, int digits) {
  for (int i = digits - 1; i >= 0; --i, value /= 10) at[i] = static_cast<char>('0' + value % 10);
  return at + digits;
}

}  // namespace

// By hand, since it is in every answer several times: snprintf took a microsecond for each.
std::string format_rfc3339(std::chrono::system_clock::time_point time) {
  using namespace std::chrono;
  const auto ms = floor<milliseconds>(time);
  const auto day = floor<days>(ms);
  const year_month_day date(day);
  const hh_mm_ss clock(ms - day);
  std::string text(24, 'Z');
  char* at = put_digits(text.data(), static_cast<unsigned>(static_cast<int>(date.year())), 4);
  *at++ = '-';
  at = put_digits(at, static_cast<unsigned>(date.month()), 2);
  *at++ = '-';
  at = put_digits(at, static_cast<unsigned>(date.day()), 2);
  *at++ = 'T';
  at = put_digits(at, static_cast<unsigned>(clock.hours().count()), 2);
  *at++ = ':';
  at = put_digits(at, static_cast<unsigned>(clock.minutes().count()), 2);
  *at++ = ':';
  at = put_digits(at, static_cast<unsigned>(clock.seconds().count()), 2);
  *at++ = '.';
  put_digits(at, static_cast<unsigned>(clock.subseconds().count()), 3);
  return text;
}

Result<std::chrono::system_clock::time_point> parse_rfc3339(std::string_view text) {
  const auto wrong = [&] {
    return fail(Code::InvalidArgument, cat("'", text.substr(0, 64), "' is no time"),
                "write it as 2026-01-31T23:59:59Z, in UTC, of the years 1970 to 2261");
  };
  const std::string copy(text.substr(0, 64));
  std::tm tm{};
  int used = 0;
  if (std::sscanf(copy.c_str(), "%4d-%2d-%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &used) != 3) return wrong();
  std::string_view rest = std::string_view(copy).substr(static_cast<std::size_t>(used));
  int ms = 0;
  if (!rest.empty()) {
    used = 0;
    const char* clock = rest.data();
    if (std::sscanf(clock, "T%2d:%2d:%2d%n", &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &used) != 3) return wrong();
    rest.remove_prefix(static_cast<std::size_t>(used));
    if (rest.starts_with('.')) {
      rest.remove_prefix(1);
      int unit = 100;
      for (; !rest.empty() && rest.front() >= '0' && rest.front() <= '9'; unit /= 10) {
        ms += (rest.front() - '0') * unit;
        rest.remove_prefix(1);
      }
    }
    if (rest != "Z") return wrong();
  }
  // The clock counts nanoseconds, in 64 bits.
  const bool good = tm.tm_year >= 1970 && tm.tm_year <= 2261 && tm.tm_mon >= 1 && tm.tm_mon <= 12 && tm.tm_mday >= 1 &&
                    tm.tm_mday <= 31 && tm.tm_hour >= 0 && tm.tm_hour <= 23 && tm.tm_min >= 0 && tm.tm_min <= 59 &&
                    tm.tm_sec >= 0 && tm.tm_sec <= 60;
  if (!good) return wrong();
  tm.tm_year -= 1900;
  tm.tm_mon -= 1;
  return std::chrono::system_clock::from_time_t(::timegm(&tm)) + std::chrono::milliseconds(ms);
}

}  // namespace cofferdam
