// Sortable random ids: "ws_" + 26 Crockford base32 characters, 48 bits of time in milliseconds and 80 random bits.
#pragma once
#include <string>
#include <string_view>

namespace cofferdam {

// The ULID form, lower case, behind "<prefix>_".
std::string new_id(std::string_view prefix);
// True when `text` is such an id with this prefix.
bool is_id(std::string_view text, std::string_view prefix);

}  // namespace cofferdam
