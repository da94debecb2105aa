// The certificate of the TCP address, as the configuration says.
#pragma once
#include <memory>

#include "daemon/config.h"
#include "http/tls_files.h"

namespace cofferdam::daemon {

// Null: no TLS. Blocking; a self-signed certificate is made, or made anew, where one is needed.
Result<std::shared_ptr<http::TlsIdentity>> tls_identity(const Config& config);
// The same files again, for connections from now on; when it fails, all stays as it was.
Status reload_tls_identity(const Config& config, http::TlsIdentity& identity);

}  // namespace cofferdam::daemon
