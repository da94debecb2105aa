#include "image/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>
#include <memory>
#include <set>

#include "base/archive_names.h"
#include "base/file.h"
#include "base/text.h"

namespace cofferdam::image {
namespace {

constexpr std::size_t kReadBytes = 256U << 10;
constexpr std::size_t kMaxXattrBytes = 64U << 10;
constexpr std::size_t kMaxTopLevelNames = 4096;
constexpr std::string_view kWhiteout = ".wh.";
constexpr std::string_view kWhiteoutMeta = ".wh..wh.";
constexpr std::string_view kOpaque = ".wh..wh..opq";

struct FreeArchive {
  void operator()(archive* a) const { ::archive_read_free(a); }
};
using Reader = std::unique_ptr<archive, FreeArchive>;

tl::unexpected<Error> refuse(std::string_view path, std::string_view why) {
  return fail(Code::InvalidArgument, cat("archive entry '", path, "' ", why));
}

Error unreadable_error(archive* a) {
  const char* text = ::archive_error_string(a);
  return Error{Code::InvalidArgument, cat("archive cannot be read: ", text != nullptr ? text : "it is damaged"), {}};
}
tl::unexpected<Error> unreadable(archive* a) { return fail(unreadable_error(a)); }

// Only what Cofferdam needs: every further format is one more parser of hostile bytes.
Result<Reader> open_tar(int fd) {
  if (::lseek(fd, 0, SEEK_SET) != 0) return fail_errno("rewind the archive");
  Reader reader(::archive_read_new());
  if (!reader) return fail(Code::ResourceExhausted, "no memory for an archive reader");
  ::archive_read_support_filter_gzip(reader.get());
  ::archive_read_support_filter_bzip2(reader.get());
  ::archive_read_support_filter_xz(reader.get());
  ::archive_read_support_filter_zstd(reader.get());
  ::archive_read_support_format_tar(reader.get());
  if (::archive_read_open_fd(reader.get(), fd, kReadBytes) != ARCHIVE_OK) return unreadable(reader.get());
  return reader;
}

std::string joined(const std::vector<std::string>& parts, std::size_t count) {
  std::string out;
  for (std::size_t i = 0; i < count; ++i) out += "/" + parts[i];
  return out;
}

struct Entry {
  archive_entry* raw = nullptr;
  std::vector<std::string> path;  // empty: the root itself
  [[nodiscard]] std::string parent() const { return joined(path, path.size() - 1); }
  [[nodiscard]] const std::string& name() const { return path.back(); }
  [[nodiscard]] std::string text() const { return path.empty() ? "/" : joined(path, path.size()); }
};

// The next entry into `entry`; false at the end.
Result<bool> next_entry(archive* a, const ImportLimits& limits, Entry& entry) {
  for (;;) {
    const int answer = ::archive_read_next_header(a, &entry.raw);
    if (answer == ARCHIVE_EOF) return false;
    if (answer == ARCHIVE_RETRY) continue;
    // A warning means that something of the header was not understood: better refused than unpacked wrongly.
    if (answer != ARCHIVE_OK) return unreadable(a);
    TRY_ASSIGN(entry.path, split_archive_path("path", ::archive_entry_pathname(entry.raw), limits.max_path_bytes));
    return true;
  }
}

Status count_bytes(std::uint64_t bytes, const Entry& entry, const ImportLimits& limits, ImportUse& use) {
  if (bytes > limits.max_bytes || use.bytes > limits.max_bytes - bytes) {
    return refuse(entry.text(), cat("brings the image over ", format_size(limits.max_bytes)));
  }
  use.bytes += bytes;
  return {};
}

bool is_hardlink(const Entry& entry) { return ::archive_entry_hardlink(entry.raw) != nullptr; }

// Everything that can be said of an entry without writing it.
Status check_entry(const Entry& entry, const ImportLimits& limits, ImportUse& use) {
  if (++use.entries > limits.max_entries) {
    return fail(Code::InvalidArgument, cat("archive with more than ", limits.max_entries, " entries"));
  }
  constexpr std::int64_t kMaxId = std::numeric_limits<std::uint32_t>::max() - 1;
  const auto uid = ::archive_entry_uid(entry.raw);
  const auto gid = ::archive_entry_gid(entry.raw);
  if (uid < 0 || uid > kMaxId || gid < 0 || gid > kMaxId) return refuse(entry.text(), "has an owner that cannot be");
  if (is_hardlink(entry)) {
    TRY_ASSIGN(const auto target,
               split_archive_path("link target", ::archive_entry_hardlink(entry.raw), limits.max_path_bytes));
    if (entry.path.empty() || target.empty()) return refuse(entry.text(), "is a hard link of the root");
    return {};
  }
  switch (::archive_entry_filetype(entry.raw)) {
    case AE_IFDIR:
      return {};
    case AE_IFREG: {
      if (entry.path.empty()) return refuse("/", "is not a folder");
      const auto size = ::archive_entry_size(entry.raw);
      if (size < 0) return refuse(entry.text(), "has a negative size");
      return count_bytes(static_cast<std::uint64_t>(size), entry, limits, use);
    }
    case AE_IFLNK: {
      if (entry.path.empty()) return refuse("/", "is not a folder");
      const char* target = ::archive_entry_symlink(entry.raw);
      if (target == nullptr || *target == '\0' || std::string_view(target).size() > limits.max_path_bytes) {
        return refuse(entry.text(), "is a symlink with a target that cannot be");
      }
      return {};
    }
    case AE_IFIFO:
      if (entry.path.empty()) return refuse("/", "is not a folder");
      return {};
    case AE_IFCHR:
    case AE_IFBLK:
      return fail(Error{Code::InvalidArgument, cat("archive entry '", entry.text(), "' is a device file"),
                        "leave /dev out of the archive (tar --exclude=./dev/*): every guest makes its own"});
    default:
      return refuse(entry.text(), "is of a kind that an image cannot hold");
  }
}

bool is_whiteout(const Entry& entry) { return !entry.path.empty() && starts_with(entry.name(), kWhiteout); }

// Takes away what lower layers have left in `tree`. A folder that is not there has nothing to hide.
Status apply_whiteout(const Entry& entry, const Tree& tree) {
  if (entry.name() == kOpaque) {
    const std::string parent = entry.parent();
    if (!parent.empty() && !tree.is_directory(parent)) return {};
    return tree.empty_directory(parent.empty() ? "/" : parent);
  }
  if (starts_with(entry.name(), kWhiteoutMeta)) return {};  // bookkeeping of the tool that made the layer
  const std::string hidden = entry.name().substr(kWhiteout.size());
  if (hidden.empty() || hidden == "." || hidden == "..") return refuse(entry.text(), "is a whiteout of nothing");
  const std::string parent = entry.parent();
  if (!parent.empty() && !tree.is_directory(parent)) return {};
  return tree.remove(cat(parent, "/", hidden));
}

bool may_keep_xattr(std::string_view name) { return name == "security.capability" || starts_with(name, "user."); }

class Writer {
 public:
  Writer(archive* a, const Tree& tree, const ImportLimits& limits) : archive_(a), tree_(tree), limits_(limits) {}

  Status write(const Entry& entry) {
    if (entry.path.empty()) return set_attributes(tree_.fd(), entry);
    const std::string parent_path = entry.parent();
    if (!parent_path.empty()) {
      auto made = tree_.make_directory(parent_path, 0755);
      if (!made) {
        // A file or a circle of symlinks in the way is the archive's fault, a full disk is not.
        Error error = std::move(made.error()).in(cat("archive entry '", entry.text(), "'"));
        if (error.code != Code::ResourceExhausted) error.code = Code::InvalidArgument;
        return fail(std::move(error));
      }
    }
    TRY_ASSIGN(const UniqueFd parent,
               open_in_root(tree_.fd(), parent_path.empty() ? "/" : parent_path, O_PATH | O_DIRECTORY));
    if (is_hardlink(entry)) return write_hardlink(entry, parent.get());
    switch (::archive_entry_filetype(entry.raw)) {
      case AE_IFDIR:
        return write_directory(entry, parent.get());
      case AE_IFREG:
        return write_file(entry, parent.get());
      case AE_IFLNK:
        TRY(remove_at(parent.get(), entry.name()));
        if (::symlinkat(::archive_entry_symlink(entry.raw), parent.get(), entry.name().c_str()) != 0) {
          return failed(entry);
        }
        return set_link_owner(entry, parent.get());
      case AE_IFIFO: {
        TRY(remove_at(parent.get(), entry.name()));
        if (::mkfifoat(parent.get(), entry.name().c_str(), 0600) != 0) return failed(entry);
        if (::fchmodat(parent.get(), entry.name().c_str(), permissions(entry), 0) != 0) return failed(entry);
        return set_link_owner(entry, parent.get());
      }
      default:
        return refuse(entry.text(), "is of a kind that an image cannot hold");
    }
  }

 private:
  static tl::unexpected<Error> failed(const Entry& entry) { return fail_errno(cat("unpack '", entry.text(), "'")); }
  static mode_t permissions(const Entry& entry) { return ::archive_entry_perm(entry.raw) & 07777U; }
  static std::array<timespec, 2> times(const Entry& entry) {
    const auto seconds = std::max<std::time_t>(::archive_entry_mtime(entry.raw), 0);
    const timespec time{seconds, 0};
    return {time, time};
  }

  static Status set_link_owner(const Entry& entry, int parent) {
    const auto& name = entry.name();
    const auto uid = static_cast<uid_t>(::archive_entry_uid(entry.raw));
    const auto gid = static_cast<gid_t>(::archive_entry_gid(entry.raw));
    if (::fchownat(parent, name.c_str(), uid, gid, AT_SYMLINK_NOFOLLOW) != 0) return failed(entry);
    const auto when = times(entry);
    if (::utimensat(parent, name.c_str(), when.data(), AT_SYMLINK_NOFOLLOW) != 0) return failed(entry);
    return {};
  }

  static Status set_attributes(int fd, const Entry& entry) {
    const auto uid = static_cast<uid_t>(::archive_entry_uid(entry.raw));
    const auto gid = static_cast<gid_t>(::archive_entry_gid(entry.raw));
    // In this order: a change of the owner takes set-user-id bits and capabilities away.
    if (::fchown(fd, uid, gid) != 0) return failed(entry);
    if (::fchmod(fd, permissions(entry)) != 0) return failed(entry);
    ::archive_entry_xattr_reset(entry.raw);
    const char* name = nullptr;
    const void* value = nullptr;
    std::size_t size = 0;
    while (::archive_entry_xattr_next(entry.raw, &name, &value, &size) == ARCHIVE_OK) {
      if (name == nullptr || !may_keep_xattr(name)) continue;
      if (size > kMaxXattrBytes) return refuse(entry.text(), "has an extended attribute that is too long");
      if (::fsetxattr(fd, name, value, size, 0) != 0 && errno != ENOTSUP) return failed(entry);
    }
    const auto when = times(entry);
    if (::futimens(fd, when.data()) != 0) return failed(entry);
    return {};
  }

  static Status write_directory(const Entry& entry, int parent) {
    const auto& name = entry.name();
    struct stat st{};
    const bool there = ::fstatat(parent, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0;
    if (there && !S_ISDIR(st.st_mode)) TRY(remove_at(parent, name));
    if (!(there && S_ISDIR(st.st_mode)) && ::mkdirat(parent, name.c_str(), 0700) != 0) return failed(entry);
    const UniqueFd fd(::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd) return failed(entry);
    return set_attributes(fd.get(), entry);
  }

  Status write_file(const Entry& entry, int parent) {
    TRY(remove_at(parent, entry.name()));
    const UniqueFd fd(
        ::openat(parent, entry.name().c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!fd) return failed(entry);
    // The first pass has counted this size; data beyond it is refused here.
    const auto size = ::archive_entry_size(entry.raw);
    if (::ftruncate(fd.get(), size) != 0) return failed(entry);
    for (;;) {
      const void* block = nullptr;
      std::size_t length = 0;
      la_int64_t offset = 0;
      const int answer = ::archive_read_data_block(archive_, &block, &length, &offset);
      if (answer == ARCHIVE_EOF) break;
      if (answer == ARCHIVE_RETRY) continue;
      if (answer != ARCHIVE_OK) return unreadable(archive_);
      if (offset < 0 || offset > size || length > static_cast<std::uint64_t>(size - offset)) {
        return refuse(entry.text(), "has data beyond its size");
      }
      const auto* bytes = static_cast<const char*>(block);
      for (std::size_t done = 0; done < length;) {
        const ssize_t n = ::pwrite(fd.get(), bytes + done, length - done, offset + static_cast<la_int64_t>(done));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return failed(entry);
        done += static_cast<std::size_t>(n);
      }
    }
    return set_attributes(fd.get(), entry);
  }

  Status write_hardlink(const Entry& entry, int parent) {
    TRY_ASSIGN(const auto target,
               split_archive_path("link target", ::archive_entry_hardlink(entry.raw), limits_.max_path_bytes));
    if (target.empty()) return refuse(entry.text(), "is a hard link of the root");
    if (target == entry.path) return refuse(entry.text(), "is a hard link of itself");
    const std::string folder = joined(target, target.size() - 1);
    const auto from = open_in_root(tree_.fd(), folder.empty() ? "/" : folder, O_PATH | O_DIRECTORY);
    struct stat st{};
    if (!from || ::fstatat(from->get(), target.back().c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
      return refuse(entry.text(), "is a hard link of a file that is not there");
    }
    if (S_ISDIR(st.st_mode)) return refuse(entry.text(), "is a hard link of a folder");
    // The same file by another way (through a symlinked folder): removing the name would remove the target.
    struct stat mine{};
    if (::fstatat(parent, entry.name().c_str(), &mine, AT_SYMLINK_NOFOLLOW) == 0) {
      if (mine.st_ino == st.st_ino && mine.st_dev == st.st_dev) return {};
      TRY(remove_at(parent, entry.name()));
    }
    if (::linkat(from->get(), target.back().c_str(), parent, entry.name().c_str(), 0) != 0) return failed(entry);
    return {};
  }

  archive* archive_;
  const Tree& tree_;
  const ImportLimits& limits_;
};

}  // namespace

Status unpack_tar(int fd, const Tree& tree, Whiteouts whiteouts, const ImportLimits& limits, ImportUse& use) {
  const Utf8Names utf8;
  Entry entry;
  {
    TRY_ASSIGN(const Reader reader, open_tar(fd));
    for (;;) {
      TRY_ASSIGN(const bool more, next_entry(reader.get(), limits, entry));
      if (!more) break;
      TRY(check_entry(entry, limits, use));
      if (whiteouts == Whiteouts::apply && is_whiteout(entry)) TRY(apply_whiteout(entry, tree));
    }
  }
  TRY_ASSIGN(const Reader reader, open_tar(fd));
  Writer writer(reader.get(), tree, limits);
  // Counted again: the file may be another one by now.
  ImportUse second;
  for (;;) {
    TRY_ASSIGN(const bool more, next_entry(reader.get(), limits, entry));
    if (!more) return {};
    TRY(check_entry(entry, limits, second));
    if (whiteouts == Whiteouts::apply && is_whiteout(entry)) continue;
    TRY(writer.write(entry));
  }
}

Result<std::vector<std::string>> top_level_names(int fd, const ImportLimits& limits) {
  const Utf8Names utf8;
  TRY_ASSIGN(const Reader reader, open_tar(fd));
  std::set<std::string> names;
  ImportUse use;
  Entry entry;
  for (;;) {
    TRY_ASSIGN(const bool more, next_entry(reader.get(), limits, entry));
    if (!more) break;
    if (++use.entries > limits.max_entries) {
      return fail(Code::InvalidArgument, cat("archive with more than ", limits.max_entries, " entries"));
    }
    const auto size = ::archive_entry_size(entry.raw);
    if (!is_hardlink(entry))
      TRY(count_bytes(static_cast<std::uint64_t>(std::max<la_int64_t>(size, 0)), entry, limits, use));
    if (!entry.path.empty() && names.size() < kMaxTopLevelNames) names.insert(entry.path.front());
  }
  return std::vector<std::string>(names.begin(), names.end());
}

Result<std::string> read_decompressed(const std::string& path, std::size_t max_bytes) {
  TRY_ASSIGN(const UniqueFd fd, open_file(path, O_RDONLY));
  const Reader reader(::archive_read_new());
  if (!reader) return fail(Code::ResourceExhausted, "no memory for an archive reader");
  ::archive_read_support_filter_gzip(reader.get());
  ::archive_read_support_filter_bzip2(reader.get());
  ::archive_read_support_filter_xz(reader.get());
  ::archive_read_support_filter_zstd(reader.get());
  ::archive_read_support_format_raw(reader.get());
  archive_entry* entry = nullptr;
  if (::archive_read_open_fd(reader.get(), fd.get(), kReadBytes) != ARCHIVE_OK ||
      ::archive_read_next_header(reader.get(), &entry) != ARCHIVE_OK) {
    return fail(unreadable_error(reader.get()).in(cat("'", path, "'")));
  }
  std::string out;
  std::vector<char> buffer(kReadBytes);
  for (;;) {
    const auto n = ::archive_read_data(reader.get(), buffer.data(), buffer.size());
    if (n == 0) return out;
    if (n < 0) return fail(unreadable_error(reader.get()).in(cat("'", path, "'")));
    if (out.size() + static_cast<std::size_t>(n) > max_bytes) {
      return fail(Code::ResourceExhausted, cat("'", path, "' unpacks to more than ", max_bytes, " bytes"));
    }
    out.append(buffer.data(), static_cast<std::size_t>(n));
  }
}

}  // namespace cofferdam::image
