#include <cstdint>
#include <string_view>

#include "vm/qmp.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  (void)cofferdam::vm::parse_qmp_line({reinterpret_cast<const char*>(data), size});
  return 0;
}
