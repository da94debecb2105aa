#include "base/time.h"

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

Result<std::chrono::system_clock::time_point> parse_rfc3339(const std::string& text) {
  std::tm tm{};
  int end = 0;
  const int fields = std::sscanf(text.c_str(), "%4d-%2d-%2dT%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
                                 &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &end);
  constexpr int kFields = 6;
  std::size_t at = static_cast<std::size_t>(end);
  std::chrono::milliseconds fraction{0};
  if (fields == kFields && at < text.size() && text[at] == '.') {
    int scale = 100;
    while (++at < text.size() && text[at] >= '0' && text[at] <= '9') {
      fraction += std::chrono::milliseconds((text[at] - '0') * scale);
      scale /= 10;
    }
  }
  if (fields != kFields || text.substr(at) != "Z") {
    return fail(Code::InvalidArgument, "not a time such as 2026-01-31T23:59:59Z");
  }
  tm.tm_year -= 1900;
  tm.tm_mon -= 1;
  return std::chrono::system_clock::from_time_t(::timegm(&tm)) + fraction;
}

}  // namespace cofferdam
