// One image as the store remembers it.
#pragma once
#include <string>

#include "image/image_store.h"

namespace cofferdam::image {

struct StoredImage {
  std::string name;
  std::string key;     // what it was made from: equal keys, equal content
  std::string digest;  // SHA-256 of the root file system
  std::uint64_t size_bytes = 0;
  std::string created;
  std::string source;
  ImageConfig config;
};

// A kernel with the modules the guest loads, unpacked in a folder of its own.
struct Kernel {
  std::string folder;
  std::string version;               // as uname -r says it
  std::string package_version;       // of the archive's package
  std::string digest;                // SHA-256 of the bzImage
  std::vector<std::string> modules;  // file names in the folder, in load order

  [[nodiscard]] std::string bzimage() const { return folder + "/vmlinuz"; }
};

}  // namespace cofferdam::image
