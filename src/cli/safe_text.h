// Text that came from a guest, an image or the server, made safe for a terminal.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace cofferdam::cli {

// Control characters (C0, C1, DEL), line and paragraph separators, direction marks and bytes that are not UTF-8 become
// "\x1b" or "\u202e"; all else stays as it is.
std::string printable(std::string_view text);
// The same, but line ends stay: for messages of several lines.
std::string printable_lines(std::string_view text);

// Columns on a terminal: wide characters count two, combining marks none. `text` must be printable.
std::size_t display_width(std::string_view text);

// True when all of `text` is UTF-8.
bool is_utf8(std::string_view text);

}  // namespace cofferdam::cli
