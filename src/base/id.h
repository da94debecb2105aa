// Sortable random ids: "ws_" + 26 Crockford base32 characters, 48 bits of time in milliseconds and 80 random bits; of
// one millisecond's, a thread counts in the first 20 of these on, so that what it makes sorts as it was made; 60 stay
// random.
#pragma once
#include <string>
#include <string_view>

namespace cofferdam {

// The ULID form, lower case, behind "<prefix>_".
std::string new_id(std::string_view prefix);
// True when `text` is such an id with this prefix.
bool is_id(std::string_view text, std::string_view prefix);

}  // namespace cofferdam
