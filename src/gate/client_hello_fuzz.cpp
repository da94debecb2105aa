// The verdict on a whole ClientHello does not depend on what follows, and never changes as bytes come in.
#include <cstdlib>

#include "base/dns_name.h"
#include "gate/client_hello.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cofferdam;
  gate::ClientHello hello;
  const auto state = gate::parse_client_hello({data, size}, hello);
  if (!hello.server_name.empty() && state == gate::HelloState::done && !is_dns_name(hello.server_name)) {
    std::abort();
  }
  if (state == gate::HelloState::done) {
    std::string more(reinterpret_cast<const char*>(data), size);
    more += "\x17\x03\x03";
    gate::ClientHello again;
    if (gate::parse_client_hello(as_bytes(more), again) != state || again.server_name != hello.server_name) {
      std::abort();
    }
  }
  for (const std::size_t cut : {size / 2, size - size / 4}) {
    gate::ClientHello part;
    const auto earlier = gate::parse_client_hello({data, cut}, part);
    if (earlier == gate::HelloState::bad && state != gate::HelloState::bad) std::abort();
    if (earlier == gate::HelloState::done && part.server_name != hello.server_name) std::abort();
  }
  return 0;
}
