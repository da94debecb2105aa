// Files and folders written below one folder of this host, with names that a guest chose: nothing is ever written
// outside, through a link or half.
#pragma once
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace cofferdam::cli {

// A file that has no name until commit(); without it, nothing is left.
class PendingFile {
 public:
  PendingFile(PendingFile&& other) noexcept;
  PendingFile& operator=(PendingFile&&) = delete;
  ~PendingFile();
  [[nodiscard]] int fd() const { return fd_.get(); }
  // Takes its place, over a file of the same name. An error when a folder has that name.
  Status commit();

 private:
  friend class LocalFolder;
  PendingFile(UniqueFd folder, UniqueFd fd, std::string name, std::string temporary);
  UniqueFd folder_, fd_;
  std::string name_, temporary_;  // temporary_ empty: it has no name yet
};

class LocalFolder {
 public:
  // `path` is the user's own: links in it are followed.
  static Result<LocalFolder> open(const std::string& path);
  // The folder `name` in this one, made when absent. A link, or anything else of that name, is an error.
  [[nodiscard]] Result<LocalFolder> enter(std::string_view name) const;
  // `mode`: permission bits; set-user-id and the like are dropped.
  [[nodiscard]] Result<PendingFile> create(std::string_view name, unsigned mode) const;
  // Of this folder itself; ignored are bits as above.
  [[nodiscard]] Status set_mode(unsigned mode) const;

 private:
  explicit LocalFolder(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

}  // namespace cofferdam::cli
