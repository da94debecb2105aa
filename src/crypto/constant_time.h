// Comparison of secrets.
#pragma once
#include <string_view>

namespace cofferdam::crypto {

// The time it takes depends on the sizes alone, never on where two texts of one size differ.
bool constant_time_equal(std::string_view a, std::string_view b);

}  // namespace cofferdam::crypto
