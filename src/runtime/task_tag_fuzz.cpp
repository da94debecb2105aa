// A guest gives the tags of its processes back as it likes.
#include <cstdint>
#include <cstdlib>

#include "base/bytes.h"
#include "model/workspace_spec.h"
#include "runtime/task_tag.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cofferdam;
  const auto tag = runtime::parse_task_tag(as_text({data, size}));
  if (!tag) return 0;
  if (tag->number == 0) return 0;
  // What was read can be written.
  if (runtime::task_tag_text(*tag).size() > model::kMaxExecTag) std::abort();
  return 0;
}
