// UTF-8: whether a text is, and how it becomes.
#pragma once
#include <string>
#include <string_view>

namespace cofferdam {

bool is_utf8(std::string_view text);
// The same text where every byte that is not part of valid UTF-8 has become U+FFFD.
std::string to_utf8(std::string_view text);

}  // namespace cofferdam
