// Random bytes from the kernel.
#pragma once
#include <cstddef>
#include <span>
#include <string>

namespace cofferdam {

// `count` bytes of getrandom(2). Aborts if the kernel refuses, which it does not on any supported kernel.
std::string random_bytes(std::size_t count);
// The same into memory of the caller.
void fill_random(std::span<char> out);

}  // namespace cofferdam
