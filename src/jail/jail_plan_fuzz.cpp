// A plan is trusted only after this decoder: whatever is accepted must be valid and mean the same when encoded again.
#include <cstdlib>

#include "base/bytes.h"
#include "jail/plan.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cofferdam;
  if (size == 0) return 0;
  const std::size_t fd_count = data[0] % (jail::kMaxPlanFds + 1);
  const auto plan = jail::decode_plan(as_text({data + 1, size - 1}), fd_count);
  if (!plan) return 0;
  const auto again = jail::encode_plan(*plan, fd_count);
  if (!again || *again != as_text({data + 1, size - 1})) std::abort();
  return 0;
}
