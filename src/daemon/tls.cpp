#include "daemon/tls.h"

#include <chrono>

namespace cofferdam::daemon {
namespace {

Result<http::TlsFiles> files_of(const Config& config) {
  if (!config.tls.self_signed) return http::TlsFiles{config.tls.certificate, config.tls.key};
  return http::ensure_self_signed(config.state_dir + "/tls", http::names_of_this_host(),
                                  std::chrono::system_clock::now());
}

}  // namespace

Result<std::shared_ptr<http::TlsIdentity>> tls_identity(const Config& config) {
  if (!config.tls.self_signed && config.tls.certificate.empty()) return std::shared_ptr<http::TlsIdentity>();
  TRY_ASSIGN(const http::TlsFiles files, files_of(config));
  return http::load_tls(files);
}

Status reload_tls_identity(const Config& config, http::TlsIdentity& identity) {
  TRY_ASSIGN(const http::TlsFiles files, files_of(config));
  return http::reload_tls(identity, files);
}

}  // namespace cofferdam::daemon
