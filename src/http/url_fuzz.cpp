// Whatever target is accepted keeps its bounds, and means the same when it is encoded again.
#include "http/url.h"

#include <cstdlib>

#include "base/bytes.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cofferdam;
  const auto target = http::parse_target(as_text({data, size}));
  if (!target) return 0;
  std::string again;
  for (const auto& segment : target->segments) {
    if (segment.empty() || segment == ".." || segment.find('\0') != std::string::npos) std::abort();
    again += "/" + http::percent_encode(segment);
  }
  if (again.empty()) again = "/";
  char separator = '?';
  for (const auto& [name, value] : target->query) {
    again += separator + http::percent_encode(name) + "=" + http::percent_encode(value);
    separator = '&';
  }
  // Escapes make it longer, and only that may make it be refused.
  const auto twice = http::parse_target(again);
  if (!twice) {
    if (again.size() <= size) std::abort();
    return 0;
  }
  if (twice->segments != target->segments || twice->query != target->query) std::abort();
  return 0;
}
