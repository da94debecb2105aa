// ClientHellos byte by byte, for the tests.
#pragma once
#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace cofferdam::gate {

inline std::string big_endian(std::size_t bytes, std::size_t value) {
  std::string out;
  for (std::size_t i = bytes; i-- > 0;) out.push_back(static_cast<char>(value >> (8 * i) & 0xff));
  return out;
}
inline std::string with_length(std::size_t bytes, std::string_view body) {
  return big_endian(bytes, body.size()) + std::string(body);
}
inline std::string extension(unsigned type, std::string_view body) {
  return big_endian(2, type) + with_length(2, body);
}
inline std::string sni_extension(std::string_view name) {
  return extension(0, with_length(2, std::string(1, '\0') + with_length(2, name)));
}
inline std::string hello_body() {
  return "\3\3" + std::string(32, 'r') + with_length(1, std::string(32, 's')) + with_length(2, "\x13\x01\x13\x02") +
         with_length(1, std::string(1, '\0'));
}
inline std::string hello_without_extensions() { return "\1" + with_length(3, hello_body()); }
inline std::string hello_message(const std::vector<std::string>& extensions) {
  std::string all;
  for (const auto& one : extensions) all += one;
  return "\1" + with_length(3, hello_body() + with_length(2, all));
}
inline std::string records(std::string_view message, std::size_t piece) {
  std::string out;
  while (!message.empty()) {
    out += "\x16\3\1" + with_length(2, message.substr(0, piece));
    message.remove_prefix(std::min(piece, message.size()));
  }
  return out;
}
inline std::string one_record(std::string_view message) { return records(message, message.size()); }

}  // namespace cofferdam::gate
