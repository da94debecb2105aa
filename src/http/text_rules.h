// The character rules of HTTP's head.
#pragma once
#include <algorithm>
#include <string>
#include <string_view>

namespace cofferdam::http {

inline char to_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

inline bool same_without_case(std::string_view a, std::string_view b) {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) { return to_lower(x) == to_lower(y); });
}

// Appends "name: value\r\n". A line end or NUL in either would forge a header: it becomes a '?'.
inline void append_header(std::string& out, std::string_view name, std::string_view value) {
  const auto append = [&out](std::string_view text) {
    const auto start = static_cast<std::ptrdiff_t>(out.size());
    out += text;
    std::replace_if(out.begin() + start, out.end(), [](char c) { return c == '\r' || c == '\n' || c == '\0'; }, '?');
  };
  append(name);
  out.append(": ");
  append(value);
  out.append("\r\n");
}

}  // namespace cofferdam::http
