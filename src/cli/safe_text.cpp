#include "cli/safe_text.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>

namespace cofferdam::cli {
namespace {

struct Decoded {
  std::uint32_t point = 0;
  std::size_t length = 0;  // 0: not UTF-8
};

Decoded decode(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t first = byte(0);
  if (first < 0x80) return {first, 1};
  std::size_t length = 0;
  std::uint32_t point = 0;
  std::uint32_t smallest = 0;
  if ((first & 0xe0) == 0xc0) {
    length = 2, point = first & 0x1fU, smallest = 0x80;
  } else if ((first & 0xf0) == 0xe0) {
    length = 3, point = first & 0x0fU, smallest = 0x800;
  } else if ((first & 0xf8) == 0xf0) {
    length = 4, point = first & 0x07U, smallest = 0x10000;
  }
  if (length == 0 || text.size() < length) return {};
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {};
    point = (point << 6) | (byte(i) & 0x3fU);
  }
  const bool surrogate = point >= 0xd800 && point <= 0xdfff;
  if (point < smallest || point > 0x10ffff || surrogate) return {};
  return {point, length};
}

using Range = std::pair<std::uint32_t, std::uint32_t>;

template <std::size_t N>
bool in_ranges(std::uint32_t point, const std::array<Range, N>& ranges) {
  return std::any_of(ranges.begin(), ranges.end(),
                     [point](const Range& range) { return point >= range.first && point <= range.second; });
}

// What moves the cursor, reorders text or hides itself.
bool is_unsafe(std::uint32_t point) {
  static constexpr std::array<Range, 9> kUnsafe{{{0, 0x1f},
                                                 {0x7f, 0x9f},
                                                 {0x61c, 0x61c},
                                                 {0x200b, 0x200f},
                                                 {0x2028, 0x202e},
                                                 {0x2060, 0x206f},
                                                 {0xfeff, 0xfeff},
                                                 {0xfff9, 0xfffb},
                                                 {0xe0000, 0xe0fff}}};
  return in_ranges(point, kUnsafe);
}

std::size_t width_of(std::uint32_t point) {
  static constexpr std::array<Range, 6> kCombining{
      {{0x300, 0x36f}, {0x483, 0x489}, {0x591, 0x5bd}, {0x1ab0, 0x1aff}, {0x20d0, 0x20ff}, {0xfe00, 0xfe0f}}};
  static constexpr std::array<Range, 8> kWide{{{0x1100, 0x115f},
                                               {0x2e80, 0xa4cf},
                                               {0xac00, 0xd7a3},
                                               {0xf900, 0xfaff},
                                               {0xfe30, 0xfe6f},
                                               {0xff00, 0xff60},
                                               {0x1f300, 0x1faff},
                                               {0x20000, 0x3fffd}}};
  if (in_ranges(point, kCombining)) return 0;
  return in_ranges(point, kWide) ? 2 : 1;
}

enum class Lines { escape, keep };

std::string make_printable(std::string_view text, Lines lines) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Decoded next = decode(text);
    const bool kept_line = lines == Lines::keep && next.point == '\n' && next.length == 1;
    if (next.length != 0 && (kept_line || !is_unsafe(next.point))) {
      out.append(text.substr(0, next.length));
      text.remove_prefix(next.length);
      continue;
    }
    char escaped[16];
    if (next.point == '\n') {
      std::snprintf(escaped, sizeof escaped, "\\n");
    } else if (next.point == '\t' && next.length == 1) {
      std::snprintf(escaped, sizeof escaped, "\\t");
    } else if (next.length > 1) {
      std::snprintf(escaped, sizeof escaped, "\\u%04x", next.point);
    } else {
      std::snprintf(escaped, sizeof escaped, "\\x%02x", static_cast<unsigned>(static_cast<std::uint8_t>(text[0])));
    }
    out.append(escaped);
    text.remove_prefix(std::max<std::size_t>(next.length, 1));
  }
  return out;
}

}  // namespace

std::string printable(std::string_view text) { return make_printable(text, Lines::escape); }
std::string printable_lines(std::string_view text) { return make_printable(text, Lines::keep); }

std::size_t display_width(std::string_view text) {
  std::size_t width = 0;
  while (!text.empty()) {
    const Decoded next = decode(text);
    width += next.length == 0 ? 1 : width_of(next.point);
    text.remove_prefix(std::max<std::size_t>(next.length, 1));
  }
  return width;
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const Decoded next = decode(text);
    if (next.length == 0) return false;
    text.remove_prefix(next.length);
  }
  return true;
}

}  // namespace cofferdam::cli
