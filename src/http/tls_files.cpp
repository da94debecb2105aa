#include "http/tls_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "crypto/certificate.h"

namespace cofferdam::http {
namespace {

constexpr std::size_t kMaxFile = 1U << 20;
constexpr mode_t kOthers = 0007;
// Clocks of clients may be behind.
constexpr std::chrono::hours kBackdated{1};

struct Texts {
  std::string certificate, key;
};

Result<Texts> read_both(const TlsFiles& files) {
  Texts texts;
  TRY_ASSIGN(texts.certificate, read_file(files.certificate, kMaxFile));
  TRY_ASSIGN(const UniqueFd key, open_file(files.key, O_RDONLY));
  struct stat info{};
  if (::fstat(key.get(), &info) != 0) return fail_errno(cat("look at '", files.key, "'"));
  if ((info.st_mode & kOthers) != 0) {
    return fail(Code::PermissionDenied, cat("'", files.key, "': everybody on this host may use the TLS key"),
                cat("chmod 600 '", files.key, "', and think about a new key"));
  }
  auto text = read_fd(key.get(), kMaxFile);
  if (!text) return fail(std::move(text.error()).in(cat("'", files.key, "'")));
  texts.key = std::move(*text);
  return texts;
}

// Nothing: fine as it is.
std::string why_new(const TlsFiles& files, std::chrono::system_clock::time_point now) {
  if (!path_exists(files.certificate) && !path_exists(files.key)) return "there is none";
  const auto texts = read_both(files);
  if (!texts) return texts.error().message;
  if (const auto usable = TlsIdentity::make(texts->certificate, texts->key); !usable) return usable.error().message;
  const auto facts = crypto::look_at_certificate(texts->certificate);
  if (!facts) return facts.error().message;
  return facts->not_after - now < kSelfSignedRenewal ? "it expires soon" : "";
}

}  // namespace

Status reload_tls(TlsIdentity& identity, const TlsFiles& files) {
  TRY_ASSIGN(const Texts texts, read_both(files));
  auto replaced = identity.replace(texts.certificate, texts.key);
  if (!replaced) return fail(std::move(replaced.error()).in(cat("'", files.certificate, "', '", files.key, "'")));
  return {};
}

Result<std::shared_ptr<TlsIdentity>> load_tls(const TlsFiles& files) {
  auto identity = std::make_shared<TlsIdentity>();
  TRY(reload_tls(*identity, files));
  return identity;
}

Result<TlsFiles> ensure_self_signed(const std::string& folder, const std::vector<std::string>& names,
                                    std::chrono::system_clock::time_point now) {
  TlsFiles files{folder + "/certificate.pem", folder + "/key.pem"};
  TRY(make_directories(folder, 0700));
  const std::string why = why_new(files, now);
  if (why.empty()) return files;
  TRY_ASSIGN(const auto made, crypto::make_self_signed(names, now - kBackdated, kSelfSignedLifetime + kBackdated));
  // Where it stops between the two, they do not fit, and both are made anew.
  TRY(write_file_atomically(files.key, made.key_pem, 0600));
  TRY(write_file_atomically(files.certificate, made.certificate_pem, 0644));
  TRY_ASSIGN(const auto facts, crypto::look_at_certificate(made.certificate_pem));
  log_info("made a self-signed TLS certificate",
           {{"file", files.certificate}, {"why", why}, {"fingerprint", facts.fingerprint}});
  return files;
}

std::vector<std::string> names_of_this_host() {
  std::vector<std::string> names{"localhost", "127.0.0.1", "::1"};
  std::array<char, 256> host{};
  if (::gethostname(host.data(), host.size() - 1) != 0) return names;
  const std::string name = host.data();
  const bool fits = !name.empty() && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-' || c == '.';
  });
  if (fits && std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  return names;
}

}  // namespace cofferdam::http
