// A receipt comes from whoever wants to be believed.
#include "keys/receipt.h"

#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/text.h"
#include "crypto/signature.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cofferdam;
  static const auto key = SecureBytes::copy_of(std::string(crypto::kSigningKeyBytes, 'k'));
  static const auto public_key = to_hex(crypto::public_key_of(key));
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  // Nobody but us signs with it; the seeds that are signed verify, and whatever is made of them does not by accident.
  const auto checked = keys::verify_receipt(text, public_key);
  if (checked && checked->id.empty()) std::abort();
  (void)keys::verify_receipt("{}", text);
  return 0;
}
