#include <cstdint>

#include "net/refusals.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  for (const auto& flow : cofferdam::net::read_refusals({reinterpret_cast<const char*>(data), size})) {
    if (flow.address.empty() || flow.peer.empty()) __builtin_trap();
  }
  return 0;
}
