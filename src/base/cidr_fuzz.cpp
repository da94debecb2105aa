// A range that is read means the same when it is written and read again, and contains its own first address.
#include <cstdint>
#include <cstdlib>

#include "base/address.h"
#include "base/bytes.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cofferdam;
  const auto text = as_text({data, size});
  const auto range = Cidr::parse(text);
  if (!range) return 0;
  const auto again = Cidr::parse(range->text());
  if (!again || !(*again == *range) || !again->contains(*range)) std::abort();
  const auto first = Address::parse(range->text().substr(0, range->text().find('/')));
  if (!first || !range->contains(*first)) std::abort();
  return 0;
}
