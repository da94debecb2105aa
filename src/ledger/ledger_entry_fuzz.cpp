// What decodes as an entry encodes to the same bytes again.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "ledger/canonical.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cofferdam::ledger;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto entry = decode(bytes);
  if (!entry) return 0;
  if (encode(*entry) != bytes) std::abort();
  if (describe(*entry).empty()) std::abort();
  return 0;
}
