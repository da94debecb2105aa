// Tar archives, plain or compressed, unpacked so that nothing in them reaches out of the folder they go to.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "image/tree.h"

namespace cofferdam::image {

struct ImportLimits {
  std::uint64_t max_bytes = 20ULL << 30;  // of all files together, holes counted
  std::uint64_t max_entries = 2'000'000;
  std::size_t max_path_bytes = 4095;  // of a path, and of a link's target
};

// What one import has used so far; the limits hold for all its layers together.
struct ImportUse {
  std::uint64_t bytes = 0;
  std::uint64_t entries = 0;
};

enum class Whiteouts {
  plain_files,  // ".wh.x" is a file like any other
  apply,        // as OCI says: ".wh.x" removes x, ".wh..wh..opq" all that lower layers have in its folder
};

// Reads the archive in `fd` (from offset 0) twice: once to check every name, kind and size against `limits` and to
// apply whiteouts to what `tree` holds already, and once to write. So a refused archive has written no file.
// Refused (InvalidArgument): ".." in a name or a hard link's target, device files, owners and sizes that cannot be,
// more than the limits. A symlink on the way is followed inside the tree, as a process rooted there would.
Status unpack_tar(int fd, const Tree& tree, Whiteouts whiteouts, const ImportLimits& limits, ImportUse& use);

// The names of the archive's entries at its top level, each once; the archive is bounded by `limits`.
Result<std::vector<std::string>> top_level_names(int fd, const ImportLimits& limits);

// A plain file, or one compressed with xz, zstd, gzip or bzip2.
Result<std::string> read_decompressed(const std::string& path, std::size_t max_bytes);

}  // namespace cofferdam::image
