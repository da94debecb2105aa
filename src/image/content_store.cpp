#include "image/content_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <set>

#include "base/log.h"
#include "base/random.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "image/json_codec.h"

namespace cofferdam::image {
namespace {

constexpr std::string_view kJson = ".json";
constexpr std::string_view kErofs = ".erofs";
constexpr std::string_view kLock = ".lock";

bool ends_with(std::string_view text, std::string_view suffix) {
  return text.size() >= suffix.size() && text.substr(text.size() - suffix.size()) == suffix;
}

std::string without(std::string_view text, std::string_view suffix) {
  return std::string(text.substr(0, text.size() - suffix.size()));
}

}  // namespace

Status check_image_name(const std::string& name) {
  constexpr std::size_t kMaxName = 64;
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  const bool right =
      !name.empty() && name.size() <= kMaxName && letter(name.front()) &&
      std::all_of(name.begin(), name.end(), [&](char c) { return letter(c) || c == '.' || c == '_' || c == '-'; });
  if (right) return {};
  return fail(Code::InvalidArgument, cat("'", name.substr(0, kMaxName), "' cannot be an image's name"),
              "use up to 64 lower-case letters, digits, '.', '_' and '-', starting with a letter or digit");
}

Status write_public_file(const std::string& path, std::string_view bytes) {
  TRY(write_file_atomically(path, bytes, 0644));
  if (::chmod(path.c_str(), 0644) != 0) return fail_errno(cat("set the mode of '", path, "'"));
  return {};
}

Status sync_path(const std::string& path) {
  TRY_ASSIGN(const UniqueFd fd, open_file(path, O_RDONLY));
  if (::fsync(fd.get()) != 0) return fail_errno(cat("sync '", path, "'"));
  return {};
}

BuildFolder::BuildFolder(BuildFolder&& other) noexcept
    : path_(std::exchange(other.path_, std::string())), lock_(std::move(other.lock_)) {}

BuildFolder::~BuildFolder() {
  if (path_.empty()) return;
  (void)remove_tree(path_);  // what stays is taken by the next remove_leftovers()
  ::unlink((path_ + std::string(kLock)).c_str());
}

Result<ContentStore> ContentStore::open(const std::string& state_dir) {
  ContentStore store(state_dir + "/images");
  for (const auto* folder : {"names", "rootfs", "kernel", "initramfs", "tmp", "locks"}) {
    TRY(make_directories(cat(store.root_, "/", folder), 0755));
  }
  return store;
}

std::string ContentStore::rootfs_path(const std::string& digest) const {
  return cat(root_, "/rootfs/", digest, kErofs);
}

Result<BuildFolder> ContentStore::make_build_folder() const {
  std::string path = cat(root_, "/tmp/", to_hex(random_bytes(8)));
  TRY_ASSIGN(const FileLock making, FileLock::acquire(cat(root_, "/locks/tmp")));
  // The lock comes first: a folder without a held lock is a dead one.
  TRY_ASSIGN(FileLock lock, FileLock::acquire(path + std::string(kLock)));
  TRY(make_directories(path, 0700));
  return BuildFolder(std::move(path), std::move(lock));
}

Result<FileLock> ContentStore::lock_name(const std::string& name) const {
  return FileLock::acquire_passing(cat(root_, "/locks/name-", name));
}

Result<FileLock> ContentStore::lock_names() const { return FileLock::acquire(cat(root_, "/locks/names")); }

Result<StoredImage> ContentStore::read(const std::string& name) const {
  auto text = read_file(manifest_path(name), kMaxOciJsonBytes);
  if (!text) {
    if (text.error().code != Code::NotFound) return fail(std::move(text.error()));
    return fail(Code::NotFound, cat("there is no image '", name, "'"), cat("make it: coffer image build ", name));
  }
  auto image = decode_image(*text);
  if (!image) {
    return fail(Code::DataLoss, cat("image '", name, "': ", image.error().message),
                cat("make it again: coffer image build ", name));
  }
  return image;
}

Result<std::vector<std::string>> ContentStore::names() const {
  TRY_ASSIGN(const auto files, list_directory(root_ + "/names"));
  std::vector<std::string> out;
  for (const auto& file : files) {
    if (!ends_with(file, kJson)) continue;
    if (auto name = without(file, kJson); check_image_name(name)) out.push_back(std::move(name));
  }
  return out;
}

bool ContentStore::is_whole(const StoredImage& image) const {
  struct stat st{};
  return ::stat(rootfs_path(image.digest).c_str(), &st) == 0 && S_ISREG(st.st_mode) &&
         static_cast<std::uint64_t>(st.st_size) == image.size_bytes;
}

Result<StoredImage> ContentStore::publish(StoredImage image, const std::string& rootfs) const {
  if (::chmod(rootfs.c_str(), 0644) != 0) return fail_errno(cat("set the mode of '", rootfs, "'"));
  TRY(sync_path(rootfs));
  TRY_ASSIGN(image.digest, crypto::sha256_file_hex(rootfs));
  struct stat st{};
  if (::stat(rootfs.c_str(), &st) != 0) return fail_errno(cat("stat '", rootfs, "'"));
  image.size_bytes = static_cast<std::uint64_t>(st.st_size);

  TRY_ASSIGN(const FileLock lock, lock_names());
  const std::string path = rootfs_path(image.digest);
  if (::rename(rootfs.c_str(), path.c_str()) != 0) return fail_errno(cat("move '", rootfs, "' to '", path, "'"));
  TRY(sync_path(root_ + "/rootfs"));
  TRY(write_file_atomically(manifest_path(image.name), encode_image(image), 0644));
  TRY(remove_unnamed_rootfs());
  return image;
}

Status ContentStore::remove(const std::string& name) const {
  TRY_ASSIGN(const FileLock lock, lock_names());
  if (::unlink(manifest_path(name).c_str()) != 0) {
    if (errno == ENOENT) return fail(Code::NotFound, cat("there is no image '", name, "'"));
    return fail_errno(cat("remove the image '", name, "'"));
  }
  TRY(sync_path(root_ + "/names"));
  return remove_unnamed_rootfs();
}

Status ContentStore::remove_unnamed_rootfs() const {
  std::set<std::string> named;
  TRY_ASSIGN(const auto all, names());
  for (const auto& name : all) {
    const auto image = read(name);
    if (!image) {
      // Better a file too many than an image without its file.
      log_warn("unnamed root file systems are kept", {{"reason", image.error().message}});
      return {};
    }
    named.insert(image->digest + std::string(kErofs));
  }
  TRY_ASSIGN(const auto files, list_directory(root_ + "/rootfs"));
  for (const auto& file : files) {
    if (named.count(file) != 0) continue;
    const auto path = cat(root_, "/rootfs/", file);
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) return fail_errno(cat("remove '", path, "'"));
  }
  return {};
}

Status ContentStore::remove_leftovers() const {
  {
    TRY_ASSIGN(const FileLock nobody_makes_one, FileLock::acquire(cat(root_, "/locks/tmp")));
    TRY(remove_dead_build_folders());
  }
  TRY_ASSIGN(const FileLock lock, lock_names());
  return remove_unnamed_rootfs();
}

Status ContentStore::remove_dead_build_folders() const {
  TRY_ASSIGN(const auto entries, list_directory(root_ + "/tmp"));
  for (const auto& entry : entries) {
    if (ends_with(entry, kLock)) continue;
    const auto path = cat(root_, "/tmp/", entry);
    const auto lock = FileLock::try_acquire(path + std::string(kLock));
    if (!lock) continue;  // alive
    TRY(remove_tree(path));
  }
  for (const auto& entry : entries) {
    if (!ends_with(entry, kLock)) continue;
    const auto path = cat(root_, "/tmp/", entry);
    const auto lock = FileLock::try_acquire(path);
    if (lock && !path_exists(without(path, kLock))) ::unlink(path.c_str());
  }
  return {};
}

}  // namespace cofferdam::image
