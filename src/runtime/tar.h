// tar.gz and tar.zst, written and read piece by piece. What is read is hostile.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace cofferdam::runtime {

struct TarEntry {
  enum class Type { file, folder, symlink, hard_link };
  Type type = Type::file;
  std::string path;         // relative, without ".", ".." and empty parts; empty: the root itself
  std::string link_target;  // of a symlink as it is, of a hard link as `path`
  std::uint64_t size = 0;   // of a file
  std::uint32_t mode = 0644;
  std::uint32_t uid = 0, gid = 0;  // numbers alone: an archive's names are another machine's
  std::int64_t modified_ms = 0;
};

inline constexpr std::size_t kMaxTarPath = 4000;
inline constexpr std::size_t kMaxTarEntries = 1'000'000;

enum class Compression { gzip, zstd };

class TarWriter {
 public:
  explicit TarWriter(Compression compression = Compression::gzip);
  TarWriter(const TarWriter&) = delete;
  TarWriter& operator=(const TarWriter&) = delete;
  ~TarWriter();
  Status begin(const TarEntry& entry);
  // Of the file that was begun. More than its size is cut, less is filled up with zeros.
  Status data(std::string_view bytes);
  Status finish();
  // What the calls so far have made of it.
  std::string take();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Blocking: for a thread of its own.
class TarReader {
 public:
  // The next bytes of the archive, empty at its end; they stay valid until the next call.
  using Source = std::function<Result<std::string_view>()>;
  static Result<std::unique_ptr<TarReader>> open(Source source);
  ~TarReader();
  TarReader(const TarReader&) = delete;
  TarReader& operator=(const TarReader&) = delete;

  // nullopt at the end. InvalidArgument names an entry that is refused: a path or hard link with "..", a device, a
  // pipe, too long a name; and says when the archive is damaged.
  Result<std::optional<TarEntry>> next();
  // Of the file that next() gave, at most 64 KiB; empty at its end. What is not read is passed over.
  Result<std::string> data();

 private:
  struct Impl;
  explicit TarReader(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// InvalidArgument: a symlink at `path` below `dest` with this target would lead out of `dest`. Both are clean, `dest`
// absolute.
Status check_symlink(std::string_view dest, std::string_view path, std::string_view target);

}  // namespace cofferdam::runtime
