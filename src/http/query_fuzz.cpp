// A query that is accepted keeps its bounds, is decoded once, and means the same when it is encoded again.
#include <cstdlib>

#include "base/bytes.h"
#include "http/url.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cofferdam;
  const auto query = http::parse_query(as_text({data, size}));
  if (!query) return 0;
  if (query->size() > http::kMaxQueryItems) std::abort();
  std::string again;
  std::size_t decoded = 0;
  for (const auto& [name, value] : *query) {
    if (name.find('\0') != std::string::npos || value.find('\0') != std::string::npos) std::abort();
    decoded += name.size() + value.size();
    again += http::percent_encode(name) + "=" + http::percent_encode(value) + "&";
  }
  if (decoded > size) std::abort();
  const auto twice = http::parse_query(again);
  if (!twice || *twice != *query) std::abort();
  return 0;
}
