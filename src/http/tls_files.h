// The files of a server's TLS: reading them, and making them where an operator has none.
#pragma once
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "http/tls.h"

namespace cofferdam::http {

struct TlsFiles {
  std::string certificate, key;  // paths
};

// PermissionDenied: others may read or write the key. Else the errors of reading, and of TlsIdentity::make, with the
// path.
Result<std::shared_ptr<TlsIdentity>> load_tls(const TlsFiles& files);
// For connections from now on; when it fails, all stays as it was.
Status reload_tls(TlsIdentity& identity, const TlsFiles& files);

inline constexpr std::chrono::hours kSelfSignedLifetime{24 * 365};
inline constexpr std::chrono::hours kSelfSignedRenewal{24 * 30};  // with less left, it is made anew

// `folder`/certificate.pem and key.pem (0600), made when they are absent, damaged or soon to expire. Blocking.
Result<TlsFiles> ensure_self_signed(const std::string& folder, const std::vector<std::string>& names,
                                    std::chrono::system_clock::time_point now);
// localhost, 127.0.0.1, ::1, and the name of this host when it can stand in a certificate.
std::vector<std::string> names_of_this_host();

}  // namespace cofferdam::http
