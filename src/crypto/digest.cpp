#include "crypto/digest.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <vector>

#include "base/file.h"
#include "base/text.h"

namespace cofferdam::crypto {
namespace {

struct FreeContext {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

struct FreeDigest {
  void operator()(EVP_MD* digest) const { EVP_MD_free(digest); }
};

// OpenSSL fails here only without memory or without its own default provider: nothing a caller could handle.
void must(int ok) {
  if (ok != 1) std::abort();
}

}  // namespace

struct Sha256::Context {
  std::unique_ptr<EVP_MD_CTX, FreeContext> md;
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {
  context_->md.reset(EVP_MD_CTX_new());
  if (!context_->md) std::abort();
  must(EVP_DigestInit_ex(context_->md.get(), EVP_sha256(), nullptr));
}
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;
Sha256::~Sha256() = default;

void Sha256::update(std::string_view bytes) { must(EVP_DigestUpdate(context_->md.get(), bytes.data(), bytes.size())); }

std::string Sha256::hex() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned length = 0;
  must(EVP_DigestFinal_ex(context_->md.get(), digest.data(), &length));
  return to_hex({reinterpret_cast<const char*>(digest.data()), length});
}

std::string sha256_hex(std::string_view bytes) {
  Sha256 sum;
  sum.update(bytes);
  return sum.hex();
}

Digest sha256(std::initializer_list<std::string_view> parts) {
  // Made once a thread: finding the algorithm and a context take longer than hashing a short text.
  struct Tools {
    std::unique_ptr<EVP_MD, FreeDigest> digest{EVP_MD_fetch(nullptr, "SHA256", nullptr)};
    std::unique_ptr<EVP_MD_CTX, FreeContext> context{EVP_MD_CTX_new()};
  };
  thread_local const Tools kTools;
  if (!kTools.digest || !kTools.context) std::abort();
  must(EVP_DigestInit_ex2(kTools.context.get(), kTools.digest.get(), nullptr));
  for (const auto part : parts) must(EVP_DigestUpdate(kTools.context.get(), part.data(), part.size()));
  Digest digest{};
  must(EVP_DigestFinal_ex(kTools.context.get(), digest.data(), nullptr));
  return digest;
}

Result<std::string> sha256_fd_hex(int fd) {
  Sha256 sum;
  std::vector<char> buffer(1U << 18);
  for (;;) {
    const ssize_t n = ::read(fd, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("read for a SHA-256 digest");
    if (n == 0) return sum.hex();
    sum.update({buffer.data(), static_cast<std::size_t>(n)});
  }
}

Result<std::string> sha256_file_hex(const std::string& path) {
  TRY_ASSIGN(const UniqueFd fd, open_file(path, O_RDONLY));
  auto digest = sha256_fd_hex(fd.get());
  if (!digest) return fail(std::move(digest.error()).in(cat("'", path, "'")));
  return digest;
}

}  // namespace cofferdam::crypto
