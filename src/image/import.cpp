#include "image/import.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "base/file.h"
#include "base/text.h"
#include "image/command.h"
#include "image/oci.h"
#include "image/pack.h"
#include "image/tree.h"

namespace cofferdam::image {
namespace {

constexpr auto kCopyTimeout = std::chrono::minutes(60);

// The image's files are counted as an archive's would be, and device files refused.
Status check_folder(const std::string& folder, const ImportLimits& limits) {
  ImportUse use;
  return walk_tree(folder, [&](const WalkedFile& file) -> Status {
    if (++use.entries > limits.max_entries) {
      return fail(Code::InvalidArgument, cat("'", folder, "' holds more than ", limits.max_entries, " files"));
    }
    if (S_ISCHR(file.st.st_mode) || S_ISBLK(file.st.st_mode)) {
      return fail(Code::InvalidArgument, cat("'", file.path, "' is a device file"),
                  "empty the folder's /dev: every guest makes its own");
    }
    if (!S_ISREG(file.st.st_mode)) return {};
    const auto size = static_cast<std::uint64_t>(file.st.st_size);
    if (size > limits.max_bytes || use.bytes > limits.max_bytes - size) {
      return fail(Code::InvalidArgument, cat("'", folder, "' holds more than ", format_size(limits.max_bytes)));
    }
    use.bytes += size;
    return {};
  });
}

Status copy_folder(const std::string& from, const std::string& root, const ImportLimits& limits,
                   const ProgressSink& progress) {
  progress({"unpack", "copying the folder", -1});
  TRY(check_folder(from, limits));
  TRY(run_checked(
      command({"cp", "-a", "--one-file-system", "--reflink=auto", "--", from + "/.", root + "/"}, kCopyTimeout)));
  // Once more on what is ours alone: the other may have changed since.
  return check_folder(root, limits);
}

Result<ImageConfig> import_docker_archive(const std::string& path, const Tree& tree, const std::string& work,
                                          const ImportLimits& limits, const ProgressSink& progress) {
  progress({"unpack", "converting the docker archive", -1});
  // skopeo splits its arguments at colons, which a path may hold.
  const std::string archive = work + "/archive.tar";
  const std::string layout = work + "/layout";
  if (::symlink(path.c_str(), archive.c_str()) != 0) return fail_errno(cat("link '", archive, "'"));
  auto done = run_checked(command({"skopeo", "copy", "--quiet", "--insecure-policy", "--tmpdir", work,
                                   "docker-archive:" + archive, "oci:" + layout + ":image"},
                                  kCopyTimeout));
  if (!done) {
    return fail(Code::InvalidArgument, cat("read the docker archive '", path, "': ", done.error().message),
                "is it what 'docker save IMAGE' writes, with one image in it?");
  }
  return unpack_oci_layout(layout, tree, limits, progress);
}

bool contains(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

Result<ImageConfig> import_tree(const std::string& path, const std::string& root, const std::string& work,
                                const ImportLimits& limits, const ProgressSink& progress) {
  std::error_code ec;
  const std::string absolute = std::filesystem::canonical(path, ec).string();
  if (ec) return fail(errno_error(cat("import '", path, "'"), ec.value()));
  TRY_ASSIGN(const Tree tree, Tree::open(root));
  if (std::filesystem::is_directory(absolute, ec)) {
    if (is_oci_layout(absolute)) return unpack_oci_layout(absolute, tree, limits, progress);
    TRY(copy_folder(absolute, root, limits, progress));
    return ImageConfig{};
  }

  TRY_ASSIGN(const UniqueFd fd, open_file(absolute, O_RDONLY | O_NONBLOCK));
  struct stat st{};
  if (::fstat(fd.get(), &st) != 0 || !S_ISREG(st.st_mode)) {
    return fail(Code::InvalidArgument, cat("'", path, "' is neither a folder nor a plain file"));
  }
  progress({"unpack", "reading the archive", -1});
  auto names = top_level_names(fd.get(), limits);
  if (!names) return fail(std::move(names.error()).in(cat("'", path, "'")));
  if (contains(*names, "oci-layout") && contains(*names, "index.json")) {
    const std::string layout = work + "/layout";
    TRY(make_directories(layout, 0700));
    TRY_ASSIGN(const Tree layout_tree, Tree::open(layout));
    ImportUse use;
    TRY(unpack_tar(fd.get(), layout_tree, Whiteouts::plain_files, limits, use));
    return unpack_oci_layout(layout, tree, limits, progress);
  }
  if (contains(*names, "manifest.json")) return import_docker_archive(absolute, tree, work, limits, progress);
  if (names->empty()) return fail(Code::InvalidArgument, cat("'", path, "' is an empty archive"));
  ImportUse use;
  if (auto unpacked = unpack_tar(fd.get(), tree, Whiteouts::plain_files, limits, use); !unpacked) {
    return fail(std::move(unpacked.error()).in(cat("'", path, "'")));
  }
  return ImageConfig{};
}

}  // namespace cofferdam::image
