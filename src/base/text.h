// Text forms: joining, hex, sizes ("512M"), durations ("30m"), split.
#pragma once
#include <charconv>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace cofferdam {

namespace detail {

// A stream costs a microsecond to set up: it is for what is neither text nor a whole number.
template <class Part>
void append_part(std::string& out, const Part& part) {
  if constexpr (std::convertible_to<const Part&, std::string_view>) {
    out += std::string_view(part);
  } else if constexpr (std::same_as<Part, char>) {
    out += part;
  } else if constexpr (std::integral<Part> && !std::same_as<Part, bool>) {
    char digits[24];
    out.append(digits, std::to_chars(digits, digits + sizeof digits, part).ptr);
  } else {
    std::ostringstream stream;
    stream << part;
    out += stream.view();
  }
}

}  // namespace detail

// The texts of all arguments, one after the other, each as a stream would write it; bytes are numbers.
template <class... Parts>
std::string cat(const Parts&... parts) {
  std::string out;
  (detail::append_part(out, parts), ...);
  return out;
}

std::string to_hex(std::string_view bytes);                             // lower case
Result<std::string> from_hex(std::string_view text);                    // strict: even length, hex digits only
std::vector<std::string> split(std::string_view text, char separator);  // keeps empty parts
std::string_view trim(std::string_view text);                           // blanks, tabs and line ends off both ends
bool starts_with(std::string_view text, std::string_view prefix);

// "1048576", "512K", "512M", "4G", "1T", each with an optional "B" or "iB"; powers of 1024; bytes. Zero is allowed.
Result<std::uint64_t> parse_size(std::string_view text);
std::string format_size(std::uint64_t bytes);  // "512 MiB", "1.5 GiB"

// "90", "90s", "30m", "2h", "1d", "250ms"; a bare number is seconds. At most 100 years.
Result<std::chrono::milliseconds> parse_duration(std::string_view text);

// A whole decimal number, or an InvalidArgument error that names `what`.
Result<std::int64_t> parse_int(std::string_view what, std::string_view text, std::int64_t min, std::int64_t max);

}  // namespace cofferdam
