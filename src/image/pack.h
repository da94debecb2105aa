// From a finished tree to the erofs file that virtual machines mount.
#pragma once
#include <sys/stat.h>

#include <ctime>
#include <functional>
#include <string>

#include "base/result.h"
#include "image/tree.h"

namespace cofferdam::image {

struct WalkedFile {
  std::string path;
  struct stat st{};
};
// Calls `visit` for `folder` and everything below it, each once, a folder before what is in it; follows no symlink.
// Ends with the first error.
Status walk_tree(const std::string& folder, const std::function<Status(const WalkedFile&)>& visit);

// The folders that the guest agent mounts on or writes to. What is there must be a folder.
Status add_mount_points(const Tree& tree);

// Every file that is newer than `build_start` gets the time of the newest that is not (or a fixed one): so the same
// packages give the same bytes, and Python's compiled files, which carry their source's time, stay valid. Returns
// that time.
Result<std::time_t> settle_times(const std::string& folder, std::time_t build_start);

// Uncompressed: under TCG, reading 1.6 times the bytes costs the guest less than decompressing them. Modes, owners,
// extended attributes and times are kept; the same tree gives the same bytes.
Status make_erofs(const std::string& folder, const std::string& file, std::time_t newest);

}  // namespace cofferdam::image
