// Both directions of the conversation: whatever is accepted is exactly what encoding it gives.
#include <cstdlib>

#include "base/bytes.h"
#include "gate/control.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cofferdam;
  const auto bytes = as_text({data, size});
  if (const auto request = gate::decode_request(bytes)) {
    const auto again = gate::encode(request->number, request->request);
    if (!again || *again != bytes) std::abort();
  }
  if (const auto event = gate::decode_event(bytes); event && gate::encode(*event) != bytes) std::abort();
  return 0;
}
