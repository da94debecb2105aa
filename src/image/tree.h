// A root file system being put together in a folder. Every path is resolved inside that folder, whatever symlinks lie
// in it: nothing outside can be read or written through it.
#pragma once
#include <sys/types.h>

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace cofferdam::image {

struct Owner {
  uid_t uid = 0;
  gid_t gid = 0;
};

class Tree {
 public:
  static Result<Tree> open(const std::string& folder);

  // Paths are absolute in the tree. Symlinks count as they would for a process whose root is the tree.
  [[nodiscard]] Result<std::string> read(std::string_view path, std::size_t max_bytes) const;
  // Missing folders on the way are made (root, 0755); an older file or symlink of that name is replaced.
  [[nodiscard]] Status write(std::string_view path, std::string_view bytes, unsigned mode, Owner owner = {}) const;
  [[nodiscard]] Status append(std::string_view path, std::string_view bytes) const;  // the file must exist
  // Made with the missing ones above it. What exists must be a folder; its mode and owner then stay.
  [[nodiscard]] Status make_directory(std::string_view path, unsigned mode, Owner owner = {}) const;
  [[nodiscard]] bool is_directory(std::string_view path) const;
  [[nodiscard]] bool exists(std::string_view path) const;  // the name itself, even a symlink that leads nowhere
  [[nodiscard]] Status symlink(std::string_view path, const std::string& target) const;
  // The folder stays; absent is fine.
  [[nodiscard]] Status empty_directory(std::string_view path) const;
  [[nodiscard]] Status remove(std::string_view path) const;  // a file or a whole folder; absent is fine

  [[nodiscard]] int fd() const { return root_.get(); }

 private:
  explicit Tree(UniqueFd root) : root_(std::move(root)) {}
  UniqueFd root_;
};

// Makes the folder of a root file system: 0755 whatever our umask is, for guests' users must get through it.
Status make_root_folder(const std::string& folder);

// openat2(2) with RESOLVE_IN_ROOT and RESOLVE_NO_MAGICLINKS below `root`; O_CLOEXEC is added. The error names `path`.
Result<UniqueFd> open_in_root(int root, const std::string& path, int flags, unsigned mode = 0);

// Removes what `name` in the folder `parent` is, a folder with all in it, following no symlink. Absent is fine.
Status remove_at(int parent, const std::string& name);

}  // namespace cofferdam::image
