#include "image/oci.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/file.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "image/json_codec.h"

namespace cofferdam::image {
namespace {

constexpr int kMaxIndexDepth = 3;
constexpr std::string_view kOs = "linux";
constexpr std::string_view kArchitecture = "amd64";

bool is_index(std::string_view media_type) {
  return media_type == "application/vnd.oci.image.index.v1+json" ||
         media_type == "application/vnd.docker.distribution.manifest.list.v2+json";
}

bool is_manifest(std::string_view media_type) {
  return media_type == "application/vnd.oci.image.manifest.v1+json" ||
         media_type == "application/vnd.docker.distribution.manifest.v2+json";
}

// Plain or compressed with what unpack_tar reads; "+encrypted" and layers kept elsewhere are not.
bool is_layer(std::string_view media_type) {
  for (const auto* known :
       {"application/vnd.oci.image.layer.v1.tar", "application/vnd.oci.image.layer.v1.tar+gzip",
        "application/vnd.oci.image.layer.v1.tar+zstd", "application/vnd.docker.image.rootfs.diff.tar",
        "application/vnd.docker.image.rootfs.diff.tar.gzip", "application/vnd.docker.image.rootfs.diff.tar.zstd"}) {
    if (media_type == known) return true;
  }
  return false;
}

class Layout {
 public:
  static Result<Layout> open(const std::string& folder) {
    TRY_ASSIGN(UniqueFd fd, open_file(folder, O_RDONLY | O_DIRECTORY));
    return Layout(std::move(fd));
  }

  // A plain file of the layout: no symlink on the way, so nothing else on the host is ever read as a blob.
  [[nodiscard]] Result<UniqueFd> open_plain(const std::string& path) const {
    open_how how{};
    how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
    UniqueFd fd(static_cast<int>(::syscall(SYS_openat2, folder_.get(), path.c_str(), &how, sizeof how)));
    if (!fd)
      return fail(Code::InvalidArgument, errno_error(cat("open '", path, "' of the image layout"), errno).message);
    struct stat st{};
    if (::fstat(fd.get(), &st) != 0 || !S_ISREG(st.st_mode)) {
      return fail(Code::InvalidArgument, cat("'", path, "' of the image layout is not a plain file"));
    }
    return fd;
  }

  // Open at offset 0, its size and SHA-256 checked.
  [[nodiscard]] Result<UniqueFd> open_blob(const OciDescriptor& blob) const {
    const auto path = cat("blobs/sha256/", blob.sha256);
    TRY_ASSIGN(UniqueFd fd, open_plain(path));
    struct stat st{};
    if (::fstat(fd.get(), &st) != 0) return fail_errno(cat("stat '", path, "'"));
    if (static_cast<std::uint64_t>(st.st_size) != blob.size) {
      return fail(Code::InvalidArgument,
                  cat("blob ", blob.sha256, " has ", st.st_size, " bytes, its descriptor says ", blob.size));
    }
    TRY_ASSIGN(const std::string digest, crypto::sha256_fd_hex(fd.get()));
    if (digest != blob.sha256) {
      return fail(Code::InvalidArgument, cat("blob ", blob.sha256, " has another SHA-256 digest: ", digest),
                  "the image was changed or cut after it was made: get it again");
    }
    if (::lseek(fd.get(), 0, SEEK_SET) != 0) return fail_errno(cat("rewind '", path, "'"));
    return fd;
  }

  [[nodiscard]] Result<std::string> read_json(const OciDescriptor& blob) const {
    if (blob.size > kMaxOciJsonBytes) {
      return fail(Code::InvalidArgument,
                  cat("blob ", blob.sha256, " is too large for a document: ", blob.size, " bytes"));
    }
    TRY_ASSIGN(const UniqueFd fd, open_blob(blob));
    TRY_ASSIGN(std::string text, read_fd(fd.get(), kMaxOciJsonBytes));
    // What was read is what counts, not what was hashed a moment ago.
    if (crypto::sha256_hex(text) != blob.sha256) {
      return fail(Code::InvalidArgument, cat("blob ", blob.sha256, " changed while it was read"));
    }
    return text;
  }

  [[nodiscard]] Result<std::string> read_index() const {
    TRY_ASSIGN(const UniqueFd fd, open_plain("index.json"));
    auto text = read_fd(fd.get(), kMaxOciJsonBytes);
    if (!text) return fail(Code::InvalidArgument, cat("index.json: ", text.error().message));
    return text;
  }

 private:
  explicit Layout(UniqueFd folder) : folder_(std::move(folder)) {}
  UniqueFd folder_;
};

bool is_for_us(const OciDescriptor& entry) {
  return (entry.os.empty() || entry.os == kOs) && (entry.architecture.empty() || entry.architecture == kArchitecture);
}

// The one manifest for this machine in an index and those it holds.
Status collect_manifests(const Layout& layout, std::string_view index, int depth, std::vector<OciDescriptor>& out) {
  if (depth > kMaxIndexDepth) return fail(Code::InvalidArgument, "image indexes are nested too deeply");
  TRY_ASSIGN(const auto entries, decode_oci_index(index));
  for (const auto& entry : entries) {
    if (!is_for_us(entry)) continue;
    if (is_manifest(entry.media_type)) {
      out.push_back(entry);
      if (out.size() > kMaxOciLayers) return fail(Code::InvalidArgument, "the layout holds too many images");
    } else if (is_index(entry.media_type)) {
      TRY_ASSIGN(const std::string inner, layout.read_json(entry));
      TRY(collect_manifests(layout, inner, depth + 1, out));
    }
  }
  return {};
}

Result<OciDescriptor> choose_manifest(const Layout& layout) {
  TRY_ASSIGN(const std::string index, layout.read_index());
  std::vector<OciDescriptor> found;
  TRY(collect_manifests(layout, index, 0, found));
  for (const auto& one : found) {
    if (one.sha256 != found.front().sha256) {
      return fail(Code::InvalidArgument, "the layout holds several images for this machine",
                  "copy the one you want into a layout of its own: skopeo copy oci:DIR:TAG oci:NEW");
    }
  }
  if (found.empty()) return fail(Code::InvalidArgument, cat("the layout holds no image for ", kOs, "/", kArchitecture));
  return found.front();
}

}  // namespace

bool is_oci_layout(const std::string& folder) {
  return path_exists(folder + "/oci-layout") && path_exists(folder + "/index.json");
}

Result<ImageConfig> unpack_oci_layout(const std::string& folder, const Tree& tree, const ImportLimits& limits,
                                      const ProgressSink& progress) {
  TRY_ASSIGN(const Layout layout, Layout::open(folder));
  TRY_ASSIGN(const OciDescriptor chosen, choose_manifest(layout));
  TRY_ASSIGN(const std::string manifest_text, layout.read_json(chosen));
  TRY_ASSIGN(const OciManifest manifest, decode_oci_manifest(manifest_text));
  TRY_ASSIGN(const std::string config_text, layout.read_json(manifest.config));
  TRY_ASSIGN(const OciConfig config, decode_oci_config(config_text));
  if ((!config.os.empty() && config.os != kOs) ||
      (!config.architecture.empty() && config.architecture != kArchitecture)) {
    return fail(Code::InvalidArgument,
                cat("the image is for ", config.os, "/", config.architecture, ", not for ", kOs, "/", kArchitecture));
  }
  if (manifest.layers.size() != config.diff_ids.size()) {
    return fail(Code::InvalidArgument, cat("the image has ", manifest.layers.size(),
                                           " layers, its configuration names ", config.diff_ids.size()));
  }
  for (const auto& layer : manifest.layers) {
    if (!is_layer(layer.media_type)) {
      return fail(Code::InvalidArgument, cat("layer ", layer.sha256, " is of the kind '", layer.media_type,
                                             "', which cannot be unpacked here"));
    }
  }
  ImportUse use;
  std::size_t done = 0;
  for (const auto& layer : manifest.layers) {
    progress({"unpack", cat("layer ", done + 1, " of ", manifest.layers.size(), ", ", format_size(layer.size)),
              static_cast<double>(done) / static_cast<double>(manifest.layers.size())});
    TRY_ASSIGN(const UniqueFd fd, layout.open_blob(layer));
    if (auto unpacked = unpack_tar(fd.get(), tree, Whiteouts::apply, limits, use); !unpacked) {
      return fail(std::move(unpacked.error()).in(cat("layer ", layer.sha256.substr(0, 12))));
    }
    ++done;
  }
  return config.config;
}

}  // namespace cofferdam::image
