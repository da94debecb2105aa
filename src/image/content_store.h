// Where this room keeps its files, and how they appear and go: whole or not at all.
//
//   STATE/images/names/NAME.json       what an image is (StoredImage)
//   STATE/images/rootfs/DIGEST.erofs   root file systems, each once, whatever the number of names
//   STATE/images/kernel/VERSION/       bzImage, modules, kernel.json; kernel/current names the one in use
//   STATE/images/initramfs/KEY-DIGEST.cpio
//   STATE/images/tmp/ID/               a build under way; its owner holds a lock on tmp/ID.lock
//   STATE/images/locks/
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "image/stored_image.h"

namespace cofferdam::image {

// A folder of a build; removed with all in it at destruction. If the process dies first, the next
// remove_leftovers() takes it.
class BuildFolder {
 public:
  BuildFolder(BuildFolder&& other) noexcept;
  BuildFolder& operator=(BuildFolder&&) = delete;
  ~BuildFolder();
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  friend class ContentStore;
  BuildFolder(std::string path, FileLock lock) : path_(std::move(path)), lock_(std::move(lock)) {}
  std::string path_;
  std::optional<FileLock> lock_;
};

class ContentStore {
 public:
  static Result<ContentStore> open(const std::string& state_dir);

  [[nodiscard]] std::string rootfs_path(const std::string& digest) const;
  [[nodiscard]] std::string kernel_dir() const { return root_ + "/kernel"; }
  [[nodiscard]] std::string initramfs_dir() const { return root_ + "/initramfs"; }

  [[nodiscard]] Result<BuildFolder> make_build_folder() const;
  // Waits for whoever builds under this name, in any process.
  [[nodiscard]] Result<FileLock> lock_name(const std::string& name) const;

  // NotFound when no image has this name.
  [[nodiscard]] Result<StoredImage> read(const std::string& name) const;
  [[nodiscard]] Result<std::vector<std::string>> names() const;
  // True when the root file system is there with the size the image names.
  [[nodiscard]] bool is_whole(const StoredImage& image) const;

  // Takes the finished file `rootfs` (on the same file system), makes it durable and gives it the image's name. Fills
  // digest and size. What the name meant before goes, and its file too when no other name needs it.
  [[nodiscard]] Result<StoredImage> publish(StoredImage image, const std::string& rootfs) const;
  [[nodiscard]] Status remove(const std::string& name) const;
  // Dead build folders, and root file systems without a name.
  [[nodiscard]] Status remove_leftovers() const;

 private:
  explicit ContentStore(std::string root) : root_(std::move(root)) {}
  [[nodiscard]] std::string manifest_path(const std::string& name) const { return root_ + "/names/" + name + ".json"; }
  // For everything that adds or removes a name or a root file system.
  [[nodiscard]] Result<FileLock> lock_names() const;
  [[nodiscard]] Status remove_unnamed_rootfs() const;
  [[nodiscard]] Status remove_dead_build_folders() const;
  std::string root_;
};

// Lower-case letters, digits, '.', '_', '-', at most 64 bytes, starting with a letter or digit; else InvalidArgument.
Status check_image_name(const std::string& name);

// Atomically and durably, readable by all whatever our umask is: a VMM of another uid may open it by its descriptor.
Status write_public_file(const std::string& path, std::string_view bytes);

// Flushes a file, or a folder's entries, to the disk.
Status sync_path(const std::string& path);

}  // namespace cofferdam::image
