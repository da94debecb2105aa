#include "runtime/tar.h"

#include <archive.h>
#include <archive_entry.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "base/archive_names.h"
#include "base/text.h"

namespace cofferdam::runtime {
namespace {

constexpr std::size_t kPiece = 64U << 10;
constexpr std::int64_t kMsPerSecond = 1000;
constexpr std::int64_t kNsPerMs = 1'000'000;
constexpr std::int64_t kLatestSecond = 9'000'000'000;  // in the year 2255
constexpr std::uint32_t kModeBits = 07777;
constexpr std::uint32_t kNobody = 65534;  // as the kernel shows an owner that it has no number for

Error archive_error(std::string_view what, archive* of) {
  const char* text = ::archive_error_string(of);
  return Error{Code::InvalidArgument, cat(what, ": ", text != nullptr ? text : "it is damaged"), {}};
}

tl::unexpected<Error> refuse(std::string_view path, std::string_view why) {
  return fail(Code::InvalidArgument, cat("the archive's entry '", path.substr(0, 200), "' ", why));
}

// The last number is no owner: chown(2) takes it for "as it is".
std::uint32_t owner_of(std::int64_t number) {
  return number < 0 || number >= UINT32_MAX ? kNobody : static_cast<std::uint32_t>(number);
}

// Relative to the destination.
Result<std::string> clean(std::string_view what, const char* raw) {
  TRY_ASSIGN(const auto parts, split_archive_path(what, raw, kMaxTarPath));
  std::string out;
  for (const auto& part : parts) out += (out.empty() ? "" : "/") + part;
  return out;
}

}  // namespace

struct TarWriter::Impl {
  struct Free {
    void operator()(archive* a) const { ::archive_write_free(a); }
  };
  std::unique_ptr<archive, Free> writer;
  std::string made;
  std::uint64_t left = 0;  // of the entry that was begun

  static la_ssize_t take(archive*, void* self, const void* bytes, std::size_t count) {
    static_cast<Impl*>(self)->made.append(static_cast<const char*>(bytes), count);
    return static_cast<la_ssize_t>(count);
  }
};

TarWriter::TarWriter(Compression compression) : impl_(std::make_unique<Impl>()) {
  impl_->writer.reset(::archive_write_new());
  archive* const a = impl_->writer.get();
  ::archive_write_set_format_pax_restricted(a);
  // The loop waits for it: speed before size.
  if (compression == Compression::gzip) {
    ::archive_write_add_filter_gzip(a);
    ::archive_write_set_filter_option(a, "gzip", "compression-level", "1");
  } else {
    ::archive_write_add_filter_zstd(a);
    ::archive_write_set_filter_option(a, "zstd", "compression-level", "1");
  }
  ::archive_write_set_bytes_per_block(a, 0);
  ::archive_write_open(a, impl_.get(), nullptr, Impl::take, nullptr);
}

TarWriter::~TarWriter() = default;

Status TarWriter::begin(const TarEntry& entry) {
  const Utf8Names names;
  struct Free {
    void operator()(archive_entry* e) const { ::archive_entry_free(e); }
  };
  const std::unique_ptr<archive_entry, Free> owner(::archive_entry_new());
  archive_entry* const e = owner.get();
  ::archive_entry_set_pathname(e, entry.path.c_str());
  ::archive_entry_set_perm(e, entry.mode & kModeBits);
  ::archive_entry_set_uid(e, entry.uid);
  ::archive_entry_set_gid(e, entry.gid);
  ::archive_entry_set_mtime(e, entry.modified_ms / kMsPerSecond, entry.modified_ms % kMsPerSecond * kNsPerMs);
  ::archive_entry_set_size(e, 0);
  switch (entry.type) {
    case TarEntry::Type::file:
      ::archive_entry_set_filetype(e, AE_IFREG);
      ::archive_entry_set_size(e, static_cast<la_int64_t>(entry.size));
      break;
    case TarEntry::Type::folder:
      ::archive_entry_set_filetype(e, AE_IFDIR);
      break;
    case TarEntry::Type::symlink:
      ::archive_entry_set_filetype(e, AE_IFLNK);
      ::archive_entry_set_symlink(e, entry.link_target.c_str());
      break;
    case TarEntry::Type::hard_link:
      ::archive_entry_set_filetype(e, AE_IFREG);
      ::archive_entry_set_hardlink(e, entry.link_target.c_str());
      break;
  }
  impl_->left = entry.type == TarEntry::Type::file ? entry.size : 0;
  if (::archive_write_header(impl_->writer.get(), e) < ARCHIVE_WARN) {
    return fail(archive_error(cat("pack '", entry.path, "'"), impl_->writer.get()));
  }
  return {};
}

Status TarWriter::data(std::string_view bytes) {
  bytes = bytes.substr(0, impl_->left);
  impl_->left -= bytes.size();
  if (bytes.empty()) return {};
  if (::archive_write_data(impl_->writer.get(), bytes.data(), bytes.size()) < 0) {
    return fail(archive_error("pack", impl_->writer.get()));
  }
  return {};
}

Status TarWriter::finish() {
  if (::archive_write_close(impl_->writer.get()) != ARCHIVE_OK) {
    return fail(archive_error("pack", impl_->writer.get()));
  }
  return {};
}

std::string TarWriter::take() { return std::exchange(impl_->made, {}); }

struct TarReader::Impl {
  struct Free {
    void operator()(archive* a) const { ::archive_read_free(a); }
  };
  Source source;
  std::optional<Error> source_failed;
  std::size_t entries = 0;
  bool file = false;
  std::unique_ptr<archive, Free> reader;  // goes first: it may call the source

  static la_ssize_t give(archive* a, void* self, const void** bytes) {
    auto& impl = *static_cast<Impl*>(self);
    auto piece = impl.source();
    if (!piece) {
      impl.source_failed = std::move(piece.error());
      ::archive_set_error(a, EIO, "the archive broke off");
      return ARCHIVE_FATAL;
    }
    *bytes = piece->data();
    return static_cast<la_ssize_t>(piece->size());
  }
  tl::unexpected<Error> broken() {
    if (source_failed) return fail(*source_failed);
    return fail(archive_error("the archive cannot be read", reader.get()));
  }
};

TarReader::TarReader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TarReader::~TarReader() = default;

Result<std::unique_ptr<TarReader>> TarReader::open(Source source) {
  const Utf8Names names;
  auto impl = std::make_unique<Impl>();
  impl->source = std::move(source);
  impl->reader.reset(::archive_read_new());
  archive* const a = impl->reader.get();
  if (a == nullptr) return fail(Code::ResourceExhausted, "no memory for an archive");
  // Only what is needed: every further format is one more parser of hostile bytes.
  ::archive_read_support_filter_gzip(a);
  ::archive_read_support_filter_zstd(a);
  ::archive_read_support_format_tar(a);
  ::archive_read_support_format_empty(a);
  if (::archive_read_open(a, impl.get(), nullptr, Impl::give, nullptr) != ARCHIVE_OK) return impl->broken();
  return std::unique_ptr<TarReader>(new TarReader(std::move(impl)));
}

Result<std::optional<TarEntry>> TarReader::next() {
  const Utf8Names names;
  archive_entry* e = nullptr;
  impl_->file = false;
  int answer = ARCHIVE_RETRY;
  while (answer == ARCHIVE_RETRY) answer = ::archive_read_next_header(impl_->reader.get(), &e);
  if (answer == ARCHIVE_EOF) return std::nullopt;
  // A warning means that something of the header was not understood: better refused than unpacked wrongly.
  if (answer != ARCHIVE_OK) return impl_->broken();
  if (++impl_->entries > kMaxTarEntries) {
    return fail(Code::InvalidArgument, cat("the archive has more than ", kMaxTarEntries, " entries"));
  }
  TarEntry entry;
  TRY_ASSIGN(entry.path, clean("path", ::archive_entry_pathname(e)));
  entry.mode = static_cast<std::uint32_t>(::archive_entry_perm(e)) & kModeBits;
  entry.uid = owner_of(::archive_entry_uid(e));
  entry.gid = owner_of(::archive_entry_gid(e));
  entry.modified_ms = std::clamp<std::int64_t>(::archive_entry_mtime(e), 0, kLatestSecond) * kMsPerSecond;
  if (const char* target = ::archive_entry_hardlink(e); target != nullptr) {
    entry.type = TarEntry::Type::hard_link;
    TRY_ASSIGN(entry.link_target, clean("link target", target));
    if (entry.link_target.empty() || entry.path.empty()) return refuse(entry.path, "is a link to nothing");
    return std::optional<TarEntry>(std::move(entry));
  }
  switch (::archive_entry_filetype(e)) {
    case AE_IFREG: {
      const std::int64_t size = ::archive_entry_size(e);
      if (entry.path.empty() || size < 0) return refuse(entry.path, "is a file without a name or a size");
      entry.size = static_cast<std::uint64_t>(size);
      impl_->file = true;
      break;
    }
    case AE_IFDIR:
      entry.type = TarEntry::Type::folder;
      break;
    case AE_IFLNK: {
      entry.type = TarEntry::Type::symlink;
      const char* target = ::archive_entry_symlink(e);
      if (target == nullptr || *target == '\0' || entry.path.empty()) return refuse(entry.path, "is a link to nothing");
      entry.link_target = target;
      if (entry.link_target.size() > kMaxTarPath) return refuse(entry.path, "has a link target that is too long");
      break;
    }
    default:
      return refuse(entry.path, "is a device, a pipe or a socket");
  }
  return std::optional<TarEntry>(std::move(entry));
}

Result<std::string> TarReader::data() {
  if (!impl_->file) return std::string{};
  std::string piece(kPiece, '\0');
  la_ssize_t count = ARCHIVE_RETRY;
  while (count == ARCHIVE_RETRY) count = ::archive_read_data(impl_->reader.get(), piece.data(), piece.size());
  if (count < 0) return impl_->broken();
  piece.resize(static_cast<std::size_t>(count));
  return piece;
}

Status check_symlink(std::string_view dest, std::string_view path, std::string_view target) {
  const auto leaves = [&] {
    return fail(Code::InvalidArgument, cat("the archive's entry '", path.substr(0, 200), "' is a link to '",
                                           target.substr(0, 200), "', which leads out of '", dest, "'"));
  };
  std::vector<std::string> at;  // where the link leads, from the root
  const auto walk = [&](std::string_view steps) {
    for (const auto& part : split(steps, '/')) {
      if (part.empty() || part == ".") continue;
      if (part != "..") {
        at.push_back(part);
      } else if (!at.empty()) {
        at.pop_back();
      }
    }
  };
  walk(dest);
  const std::vector<std::string> base = at;
  const auto inside = [&] { return at.size() >= base.size() && std::equal(base.begin(), base.end(), at.begin()); };
  if (target.starts_with('/')) {
    at.clear();
    walk(target);
    return inside() ? Status{} : leaves();
  }
  const std::size_t slash = path.rfind('/');
  if (slash != std::string_view::npos) walk(path.substr(0, slash));
  // Also one that comes back: what lies between may be a link itself.
  std::size_t depth = at.size() - base.size();
  for (const auto& part : split(target, '/')) {
    if (part.empty() || part == ".") continue;
    if (part != "..") {
      ++depth;
    } else if (depth-- == 0) {
      return base.empty() ? Status{} : leaves();
    }
  }
  return {};
}

}  // namespace cofferdam::runtime
