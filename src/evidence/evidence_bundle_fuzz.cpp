// A bundle of evidence, which comes from anywhere.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "evidence/verify.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cofferdam::evidence;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto verify = [bytes](std::size_t piece) {
    Verifier verifier({});
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
      if (!verifier.feed(bytes.substr(at, piece))) break;
    }
    return verifier.finish();
  };
  // What is found does not hang on the pieces that it comes in.
  const auto whole = verify(bytes.size() + 1);
  const auto pieces = verify(509);
  if (whole.good() != pieces.good() || report_text(whole).empty() || report_json(whole).empty()) std::abort();
  return 0;
}
