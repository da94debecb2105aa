#include "disk/format.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/file.h"
#include "base/process.h"
#include "base/text.h"
#include "model/units.h"

namespace cofferdam::disk {
namespace {

// Part of every file's name: raise it with any change of the options below.
constexpr std::string_view kVersion = "ext4-2";
constexpr std::string_view kSuffix = ".img";

std::string format_name(std::uint32_t mib) { return cat(mib, "-", kVersion, kSuffix); }

bool is_current(std::string_view name) {
  const std::string ending = cat("-", kVersion, kSuffix);
  return name.size() > ending.size() && name.substr(name.size() - ending.size()) == ending;
}

// Chosen so that little has to be copied for each disk (180 KiB of a 4 GiB one): no blocks kept for later growth, a
// small journal left as the hole it is. (Fewer backups of the superblock would be less yet, but sparse_super2 file
// systems cannot grow while they are mounted.) The inode tables are marked as zeroed (a sparse
// file reads as zeros), so that the guest does not write them in the background.
Status make_format(const std::string& path, std::uint32_t mib) {
  const std::string temporary = cat(path, ".tmp");
  (void)::unlink(temporary.c_str());
  {
    TRY_ASSIGN(const UniqueFd file, open_file(temporary, O_RDWR | O_CREAT | O_EXCL, 0600));
    if (::ftruncate(file.get(), static_cast<off_t>(mib * model::kMiB)) != 0) {
      return fail_errno(cat("set the size of '", temporary, "'"));
    }
  }
  RunOptions mkfs;
  mkfs.argv = {"/usr/sbin/mkfs.ext4",
               "-q",
               "-F",
               "-b",
               "4096",
               "-m",
               "0",
               "-L",
               "workspace",
               "-J",
               "size=4",
               "-O",
               "^resize_inode",
               "-E",
               "lazy_itable_init=0,lazy_journal_init=1,discard,root_owner=0:0",
               temporary};
  auto made = run_checked(mkfs);
  if (!made) {
    (void)::unlink(temporary.c_str());
    return fail(std::move(made.error())
                    .in(cat("format a disk of ", mib, " MiB"))
                    .with_hint("mkfs.ext4 comes with the Debian package e2fsprogs; is the host's disk full?"));
  }
  TRY_ASSIGN(const UniqueFd file, open_file(temporary, O_RDONLY));
  if (::fsync(file.get()) != 0) return fail_errno(cat("fsync '", temporary, "'"));
  if (::rename(temporary.c_str(), path.c_str()) != 0) return fail_errno(cat("rename '", temporary, "'"));
  return {};
}

// A format that lost its size in a crash must not become somebody's disk.
Result<UniqueFd> open_checked(const std::string& path, std::uint32_t mib) {
  TRY_ASSIGN(UniqueFd file, open_file(path, O_RDONLY));
  struct stat st{};
  if (::fstat(file.get(), &st) != 0) return fail_errno(cat("stat '", path, "'"));
  char magic[2] = {};
  const bool whole = static_cast<std::uint64_t>(st.st_size) == mib * model::kMiB &&
                     ::pread(file.get(), magic, sizeof magic, 1024 + 56) == 2 && magic[0] == '\x53' &&
                     magic[1] == '\xef';
  if (!whole) return fail(Code::DataLoss, cat("'", path, "' is not an empty ext4 disk of ", mib, " MiB"));
  return file;
}

}  // namespace

std::string_view format_version() { return kVersion; }

Result<UniqueFd> open_format(const std::string& formats_dir, std::uint32_t mib) {
  const std::string path = cat(formats_dir, "/", format_name(mib));
  if (auto ready = open_checked(path, mib)) return ready;
  TRY(make_directories(formats_dir));
  TRY_ASSIGN(const FileLock lock, FileLock::acquire(cat(formats_dir, "/lock")));
  if (auto ready = open_checked(path, mib)) return ready;
  TRY(make_format(path, mib));
  return open_checked(path, mib);
}

Status remove_old_formats(const std::string& formats_dir) {
  if (!path_exists(formats_dir)) return {};
  TRY_ASSIGN(const FileLock lock, FileLock::acquire(cat(formats_dir, "/lock")));
  TRY_ASSIGN(const auto names, list_directory(formats_dir));
  for (const auto& name : names) {
    if (name != "lock" && !is_current(name)) TRY(remove_tree(cat(formats_dir, "/", name)));
  }
  return {};
}

}  // namespace cofferdam::disk
