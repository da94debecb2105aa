#include "base/text.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>

namespace cofferdam {
namespace {

struct Unit {
  std::string_view name;
  double factor;
};

// Splits "1.5G" into a number and the factor of its unit; nullopt-like -1 when it is neither.
template <std::size_t N>
double parse_scaled(std::string_view text, const std::array<Unit, N>& units) {
  double number = 0;
  const auto [end, err] = std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  if (err != std::errc() || !std::isfinite(number) || number < 0) return -1;
  const std::string_view suffix(end, static_cast<std::size_t>(text.data() + text.size() - end));
  for (const auto& unit : units) {
    if (suffix == unit.name) return number * unit.factor;
  }
  return -1;
}

constexpr double kKi = 1024.0;
constexpr std::array<Unit, 18> kSizes{{{"", 1},
                                       {"B", 1},
                                       {"K", kKi},
                                       {"KB", kKi},
                                       {"KiB", kKi},
                                       {"k", kKi},
                                       {"M", kKi* kKi},
                                       {"MB", kKi* kKi},
                                       {"MiB", kKi* kKi},
                                       {"m", kKi* kKi},
                                       {"G", kKi* kKi* kKi},
                                       {"GB", kKi* kKi* kKi},
                                       {"GiB", kKi* kKi* kKi},
                                       {"g", kKi* kKi* kKi},
                                       {"T", kKi* kKi* kKi* kKi},
                                       {"TB", kKi* kKi* kKi* kKi},
                                       {"TiB", kKi* kKi* kKi* kKi},
                                       {"t", kKi* kKi* kKi* kKi}}};
constexpr std::array<Unit, 6> kDurations{
    {{"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}}};

}  // namespace

std::string to_hex(std::string_view bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const char c : bytes) {
    const auto b = static_cast<unsigned char>(c);
    out.push_back(kDigits[b >> 4]);
    out.push_back(kDigits[b & 15]);
  }
  return out;
}

Result<std::string> from_hex(std::string_view text) {
  if (text.size() % 2 != 0) return fail(Code::InvalidArgument, "hex text has an odd number of digits");
  auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  };
  std::string out;
  out.reserve(text.size() / 2);
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const int high = digit(text[i]);
    const int low = digit(text[i + 1]);
    if (high < 0 || low < 0) return fail(Code::InvalidArgument, "hex text has a character that is no hex digit");
    out.push_back(static_cast<char>(high * 16 + low));
  }
  return out;
}

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  std::size_t start = 0;
  for (;;) {
    const auto end = text.find(separator, start);
    parts.emplace_back(text.substr(start, end - start));
    if (end == std::string_view::npos) return parts;
    start = end + 1;
  }
}

std::string_view trim(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const auto first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

bool starts_with(std::string_view text, std::string_view prefix) { return text.substr(0, prefix.size()) == prefix; }

Result<std::uint64_t> parse_size(std::string_view text) {
  const double bytes = parse_scaled(text, kSizes);
  constexpr double kMax = 9.0e18;
  if (bytes < 0 || bytes > kMax) {
    return fail(Code::InvalidArgument, cat("'", text, "' is not a size"), "write it as 512M, 4G or a number of bytes");
  }
  return static_cast<std::uint64_t>(bytes);
}

std::string format_size(std::uint64_t bytes) {
  static constexpr std::array<const char*, 5> kNames{"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= kKi && unit + 1 < kNames.size()) {
    value /= kKi;
    ++unit;
  }
  char buffer[32];
  const bool whole = value == std::floor(value);
  std::snprintf(buffer, sizeof buffer, whole ? "%.0f %s" : "%.1f %s", value, kNames[unit]);
  return buffer;
}

Result<std::chrono::milliseconds> parse_duration(std::string_view text) {
  const double ms = parse_scaled(text, kDurations);
  constexpr double kMax = 100.0 * 365 * 86'400'000;
  if (ms < 0 || ms > kMax) {
    return fail(Code::InvalidArgument, cat("'", text, "' is not a duration"), "write it as 90s, 30m, 2h or 1d");
  }
  return std::chrono::milliseconds(static_cast<std::int64_t>(ms));
}

Result<std::int64_t> parse_int(std::string_view what, std::string_view text, std::int64_t min, std::int64_t max) {
  std::int64_t value = 0;
  const auto [end, err] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (err != std::errc() || end != text.data() + text.size() || value < min || value > max) {
    return fail(Code::InvalidArgument, cat(what, ": '", text, "' is not a whole number from ", min, " to ", max));
  }
  return value;
}

}  // namespace cofferdam
