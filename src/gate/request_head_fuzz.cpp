// However the bytes are cut, the same bytes pass and the verdict is the same.
#include <cstdlib>

#include "base/bytes.h"
#include "base/dns_name.h"
#include "gate/http_head.h"

namespace {

using cofferdam::gate::FlowReason;
using cofferdam::gate::HttpRequests;

struct Outcome {
  std::size_t passed = 0;
  FlowReason refused = FlowReason::none;
};

// `piece` more bytes are seen at each step.
Outcome follow(std::string_view bytes, std::size_t piece) {
  HttpRequests requests("a.example", 80, cofferdam::gate::Upgrade::allow);
  Outcome outcome;
  for (std::size_t seen = 0; seen < bytes.size() && outcome.refused == FlowReason::none;) {
    seen = std::min(seen + piece, bytes.size());
    const auto scan = requests.scan(bytes.substr(outcome.passed, seen - outcome.passed));
    if (scan.pass > seen - outcome.passed) std::abort();
    outcome.passed += scan.pass;
    outcome.refused = scan.refused;
  }
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cofferdam;
  if (size > 4096) return 0;
  const auto bytes = as_text({data, size});
  const auto whole = follow(bytes, size == 0 ? 1 : size);
  for (const std::size_t piece : {1U, 7U}) {
    const auto cut = follow(bytes, piece);
    if (cut.passed != whole.passed || cut.refused != whole.refused) std::abort();
  }
  if (const auto head = gate::parse_request_head(bytes)) {
    if (!is_dns_name(head->host) || head->method.empty()) std::abort();
  }
  return 0;
}
