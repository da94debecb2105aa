// Both directions: whatever is accepted is exactly what encoding it gives.
#include <cstdlib>

#include "base/bytes.h"
#include "jail/control.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cofferdam;
  const auto bytes = as_text({data, size});
  if (const auto request = jail::decode_request(bytes); request && jail::encode(*request) != bytes) std::abort();
  if (const auto event = jail::decode_event(bytes); event && jail::encode(*event) != bytes) std::abort();
  return 0;
}
