// The parser takes hostile bytes in pieces of any size: it must keep its bounds, and the pieces must not matter.
#include <cstdlib>

#include "base/bytes.h"
#include "http/parser.h"

namespace {

using namespace cofferdam;

constexpr std::size_t kMaxHead = 4096;

struct Outcome {
  bool refused = false;
  bool head_done = false;
  std::string target;
  std::size_t fields = 0;
  std::string body;
};

Outcome feed(http::MessageKind kind, std::string_view bytes, std::size_t piece) {
  http::Parser parser(kind, kMaxHead);
  Outcome outcome;
  std::string held;
  while (!bytes.empty() || !held.empty()) {
    const std::string_view more = bytes.substr(0, piece);
    bytes.remove_prefix(more.size());
    held += more;
    const auto used = parser.put(held);
    if (!used) {
      if (parser.failure_status() < 400) std::abort();
      outcome.refused = true;
      return outcome;
    }
    if (*used > held.size()) std::abort();
    held.erase(0, *used);
    outcome.body += parser.take_body();
    if (parser.done() || (*used == 0 && more.empty())) break;
  }
  outcome.head_done = parser.head_done();
  if (outcome.head_done) {
    outcome.target = parser.head().target;
    outcome.fields = parser.head().headers.items().size();
    if (outcome.fields > http::kMaxHeaderFields || outcome.target.size() > kMaxHead) std::abort();
  }
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const auto kind = data[0] % 2 == 0 ? http::MessageKind::request : http::MessageKind::response;
  const std::string_view bytes = as_text({data + 2, size - 2});
  const Outcome whole = feed(kind, bytes, bytes.size() + 1);
  const Outcome pieces = feed(kind, bytes, data[1] % 16 + 1U);
  if (whole.refused || pieces.refused) return 0;
  if (whole.head_done != pieces.head_done || whole.target != pieces.target || whole.fields != pieces.fields ||
      whole.body != pieces.body) {
    std::abort();
  }
  return 0;
}
