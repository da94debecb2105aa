// Build-time: a compiled system call filter as a C++ array.
#pragma once
#include <functional>

#include "base/result.h"

namespace cofferdam::jail {

// Prints "inline constexpr sock_filter NAME[] = {…};" on stdout. `write` writes the filter's instructions to a
// descriptor.
Status print_filter(const char* name, const std::function<Status(int)>& write);

}  // namespace cofferdam::jail
