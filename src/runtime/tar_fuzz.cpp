// The archive reader takes hostile bytes in pieces of any size: it keeps its bounds, and no path leaves.
#include <cstdint>
#include <cstdlib>

#include "base/bytes.h"
#include "runtime/tar.h"

namespace {

using namespace cofferdam;

bool escapes(std::string_view path) {
  return path.starts_with('/') || path == ".." || path.starts_with("../") || path.find("/../") != std::string::npos ||
         path.ends_with("/..") || path.find('\0') != std::string::npos || path.size() > runtime::kMaxTarPath;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kMostBytes = 4U << 20;
  if (size < 1) return 0;
  const std::size_t piece = data[0] * 8U + 1;
  std::string_view rest = as_text({data + 1, size - 1});
  auto reader = runtime::TarReader::open([&]() -> Result<std::string_view> {
    const std::string_view next = rest.substr(0, piece);
    rest.remove_prefix(next.size());
    return next;
  });
  if (!reader) return 0;
  std::size_t total = 0;
  for (int entries = 0; entries < 1000; ++entries) {
    const auto entry = (*reader)->next();
    if (!entry || !*entry) return 0;
    if (escapes((*entry)->path)) std::abort();
    if ((*entry)->type == runtime::TarEntry::Type::hard_link && escapes((*entry)->link_target)) std::abort();
    (void)runtime::check_symlink("/data", (*entry)->path, (*entry)->link_target);
    std::uint64_t got = 0;
    for (;;) {
      const auto bytes = (*reader)->data();
      if (!bytes) return 0;
      if (bytes->empty()) break;
      got += bytes->size();
      total += bytes->size();
      if (total > kMostBytes) return 0;
    }
    if (got > (*entry)->size) std::abort();
  }
  return 0;
}
