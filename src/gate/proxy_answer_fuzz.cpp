// The verdict on a whole head does not depend on what follows it, and never changes as bytes come in.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "gate/proxy_talk.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cofferdam::gate;
  const std::string_view seen(reinterpret_cast<const char*>(data), size);
  const auto verdict = read_proxy_answer(seen);
  if (verdict.answer == ProxyAnswer::accepted) {
    if (verdict.head > seen.size() || verdict.head > kMaxProxyAnswer) std::abort();
    if (!seen.substr(0, verdict.head).ends_with("\r\n\r\n")) std::abort();
    const auto alone = read_proxy_answer(seen.substr(0, verdict.head));
    if (alone.answer != ProxyAnswer::accepted || alone.head != verdict.head) std::abort();
    if (read_proxy_answer(seen.substr(0, verdict.head - 1)).answer != ProxyAnswer::more) std::abort();
  }
  if (verdict.answer == ProxyAnswer::more && seen.size() >= kMaxProxyAnswer) std::abort();
  for (const std::size_t cut : {size / 2, size - size / 4}) {
    const auto earlier = read_proxy_answer(seen.substr(0, cut));
    if (earlier.answer == ProxyAnswer::more) continue;
    if (earlier.answer != verdict.answer || earlier.head != verdict.head) std::abort();
  }
  return 0;
}
