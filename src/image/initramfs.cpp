#include "image/initramfs.h"

#include <optional>

#include "base/text.h"
#include "crypto/digest.h"
#include "image/cpio.h"

namespace cofferdam::image {
namespace {

// Raised when pack_initramfs writes something else for the same input.
constexpr auto kFormat = "2";
constexpr std::size_t kMaxGuestBinaryBytes = 64U << 20;
constexpr std::size_t kMaxModuleBytes = 32U << 20;
constexpr std::size_t kKeyDigits = 24;
constexpr std::size_t kSha256Digits = 64;
constexpr std::string_view kSuffix = ".cpio";

std::string key_of(const Kernel& kernel, const std::string& guest_digest) {
  crypto::Sha256 sum;
  for (const auto& part : {std::string(kFormat), kernel.digest, kernel.package_version, guest_digest})
    sum.update(part + "\n");
  for (const auto& module : kernel.modules) sum.update(module + "\n");
  return sum.hex().substr(0, kKeyDigits);
}

Result<std::optional<Initramfs>> find_file(const ContentStore& store, const std::string& key) {
  TRY_ASSIGN(const auto names, list_directory(store.initramfs_dir()));
  for (const auto& name : names) {
    if (starts_with(name, key + "-") && name.size() == key.size() + 1 + kSha256Digits + kSuffix.size()) {
      return Initramfs{cat(store.initramfs_dir(), "/", name), name.substr(key.size() + 1, kSha256Digits)};
    }
  }
  return std::optional<Initramfs>();
}

}  // namespace

Result<std::string> pack_initramfs(const Kernel& kernel, std::string_view guest_binary) {
  std::string out;
  out.reserve(guest_binary.size() + (4U << 20));
  CpioWriter cpio(out);
  for (const auto* folder : {"dev", "proc", "sys", "run", "modules"}) cpio.directory(folder, 0755);
  cpio.directory("root", 0700);
  // The kernel opens the console for init, and init may want /dev/null, before devtmpfs is mounted.
  cpio.character_device("dev/console", 0600, 5, 1);
  cpio.character_device("dev/null", 0666, 1, 3);
  cpio.file("init", 0755, guest_binary);
  std::string list;
  for (const auto& module : kernel.modules) {
    TRY_ASSIGN(const std::string bytes, read_file(cat(kernel.folder, "/", module), kMaxModuleBytes));
    cpio.file(cat("modules/", module), 0644, bytes);
    list += cat("/modules/", module, "\n");
  }
  cpio.file("modules.list", 0644, list);
  cpio.finish();
  return out;
}

Result<Initramfs> ensure_initramfs(const ContentStore& store, const Kernel& kernel, const std::string& guest_binary,
                                   const std::string& guest_digest) {
  const std::string key = key_of(kernel, guest_digest);
  TRY_ASSIGN(auto found, find_file(store, key));
  if (found) return std::move(*found);

  TRY_ASSIGN(const FileLock lock, FileLock::acquire(store.initramfs_dir() + "/.lock"));
  TRY_ASSIGN(found, find_file(store, key));
  if (found) return std::move(*found);
  TRY_ASSIGN(const std::string guest, read_file(guest_binary, kMaxGuestBinaryBytes));
  if (crypto::sha256_hex(guest) != guest_digest) {
    return fail(Code::Aborted, cat("'", guest_binary, "' changed while the initramfs was made"), "try again");
  }
  TRY_ASSIGN(const std::string bytes, pack_initramfs(kernel, guest));
  Initramfs made;
  made.digest = crypto::sha256_hex(bytes);
  made.path = cat(store.initramfs_dir(), "/", key, "-", made.digest, kSuffix);
  TRY(write_public_file(made.path, bytes));
  return made;
}

Status remove_old_initramfs(const ContentStore& store, const Kernel& kernel, const std::string& guest_digest) {
  TRY_ASSIGN(const FileLock lock, FileLock::acquire(store.initramfs_dir() + "/.lock"));
  const std::string key = key_of(kernel, guest_digest);
  TRY_ASSIGN(const auto names, list_directory(store.initramfs_dir()));
  for (const auto& name : names) {
    if (name == ".lock" || starts_with(name, key + "-")) continue;
    TRY(remove_tree(cat(store.initramfs_dir(), "/", name)));
  }
  return {};
}

}  // namespace cofferdam::image
