#include "disk/luks.h"

#include <libcryptsetup.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>

#include "base/file.h"
#include "base/text.h"
#include "crypto/random.h"
#include "crypto/xts.h"

namespace cofferdam::disk {
namespace {

constexpr std::uint64_t kSector = 512;
constexpr std::uint64_t kRoom = 4U << 20;  // more than a header with all its slots takes
// The least that LUKS1 allows: the passphrase is random, a slow derivation would add nothing.
constexpr std::uint32_t kIterations = 1000;

struct FreeDevice {
  void operator()(crypt_device* device) const { crypt_free(device); }
};
using Device = std::unique_ptr<crypt_device, FreeDevice>;

Error luks_error(const std::string& what, int rc) { return errno_error(what, -rc); }

// libcryptsetup works on files: here one in memory that has no name.
struct HeaderFile {
  UniqueFd fd;
  Device device;
};

Result<HeaderFile> open_header_file() {
  HeaderFile file;
  file.fd = UniqueFd(::memfd_create("coffer-luks-header", MFD_CLOEXEC));
  if (!file.fd) return fail_errno("memfd_create");
  if (::ftruncate(file.fd.get(), static_cast<off_t>(kRoom)) != 0) return fail_errno("set the size of a LUKS header");
  crypt_device* device = nullptr;
  const int rc = crypt_init(&device, cat("/proc/self/fd/", file.fd.get()).c_str());
  if (rc != 0) return fail(luks_error("open a file for a LUKS header", rc));
  file.device.reset(device);
  return file;
}

}  // namespace

SecureBytes passphrase_of(const SecureBytes& key) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  SecureBytes text(2 * key.size());
  auto out = text.writable();
  for (std::size_t i = 0; i < key.size(); ++i) {
    const auto byte = static_cast<unsigned char>(key.view()[i]);
    out[2 * i] = kDigits[byte >> 4];
    out[2 * i + 1] = kDigits[byte & 0xf];
  }
  return text;
}

Result<LuksHeader> make_luks_header(const SecureBytes& passphrase) {
  TRY_ASSIGN(const HeaderFile file, open_header_file());
  crypt_device* device = file.device.get();
  crypt_pbkdf_type derivation{};
  derivation.type = CRYPT_KDF_PBKDF2;
  derivation.hash = "sha256";
  derivation.iterations = kIterations;
  derivation.flags = CRYPT_PBKDF_NO_BENCHMARK;
  if (const int rc = crypt_set_pbkdf_type(device, &derivation); rc != 0) {
    return fail(luks_error("set the key derivation of a LUKS header", rc));
  }
  LuksHeader header;
  header.volume_key = crypto::random_secret(crypto::kXtsKeyBytes);
  const auto key = header.volume_key.view();
  crypt_params_luks1 parameters{};
  parameters.hash = "sha256";
  if (const int rc =
          crypt_format(device, CRYPT_LUKS1, "aes", "xts-plain64", nullptr, key.data(), key.size(), &parameters);
      rc != 0) {
    return fail(luks_error("make a LUKS header", rc));
  }
  const auto secret = passphrase.view();
  if (const int rc = crypt_keyslot_add_by_volume_key(device, 0, key.data(), key.size(), secret.data(), secret.size());
      rc < 0) {
    return fail(luks_error("fill a key slot of a LUKS header", rc));
  }
  header.reserved = crypt_get_data_offset(device) * kSector;
  header.bytes.resize(kLuksFilledBytes);
  const ssize_t n = ::pread(file.fd.get(), header.bytes.data(), header.bytes.size(), 0);
  if (n != static_cast<ssize_t>(header.bytes.size())) return fail_errno("read a LUKS header");
  return header;
}

Result<SecureBytes> open_luks_header(const std::string& bytes, const SecureBytes& passphrase) {
  if (bytes.size() > kRoom) return fail(Code::DataLoss, "a LUKS header is longer than any");
  TRY_ASSIGN(const HeaderFile file, open_header_file());
  TRY(write_all(file.fd.get(), bytes));
  crypt_device* device = file.device.get();
  if (crypt_load(device, CRYPT_LUKS1, nullptr) != 0) return fail(Code::DataLoss, "the LUKS header cannot be read");
  SecureBytes key(crypto::kXtsKeyBytes);
  std::size_t size = key.size();
  const auto secret = passphrase.view();
  const int rc =
      crypt_volume_key_get(device, CRYPT_ANY_SLOT, key.writable().data(), &size, secret.data(), secret.size());
  if (rc == -EPERM) return fail(Code::PermissionDenied, "the key does not open this disk");
  if (rc < 0 || size != key.size()) return fail(Code::DataLoss, "the LUKS header gives no key");
  return key;
}

}  // namespace cofferdam::disk
