// X.509 certificates: making a self-signed one, and looking at any.
#pragma once
#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace cofferdam::crypto {

struct CertifiedKey {
  std::string certificate_pem;
  std::string key_pem;  // a secret
};

// An ECDSA P-256 key and a certificate for it that names `names` (host names and IP addresses), good for TLS servers
// only, from `from` on for `lifetime`. InvalidArgument: no name, or one that is neither.
Result<CertifiedKey> make_self_signed(const std::vector<std::string>& names, std::chrono::system_clock::time_point from,
                                      std::chrono::seconds lifetime);

struct CertificateFacts {
  std::chrono::system_clock::time_point not_before, not_after;
  std::string fingerprint;         // SHA-256 of the certificate in DER, 64 lower-case hex digits
  std::vector<std::string> names;  // of the subject alternative name: host names and IP addresses
};

// Of the first certificate in `pem`. InvalidArgument: there is none.
Result<CertificateFacts> look_at_certificate(std::string_view pem);

// 64 hex digits of either case, with or without colons between the bytes, as 64 lower-case digits. InvalidArgument
// else.
Result<std::string> parse_fingerprint(std::string_view text);

}  // namespace cofferdam::crypto
