// The first byte chooses a message; what decodes must encode to the same bytes, so that both ends agree on every field.
#include <array>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "wire/message.h"

namespace cofferdam::wire {
namespace {

template <class Message>
void check(ByteSpan bytes) {
  const auto message = decode<Message>(bytes);
  if (message && encode(*message) != as_text(bytes)) std::abort();
}

constexpr std::array kChecks = {
#define MESSAGE(Type) &check<Type>,
#include "wire/message_types.inc"
#undef MESSAGE
};

}  // namespace
}  // namespace cofferdam::wire

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cofferdam::wire;
  if (size == 0 || data[0] >= kChecks.size()) return 0;
  kChecks.at(data[0])({data + 1, size - 1});
  return 0;
}
