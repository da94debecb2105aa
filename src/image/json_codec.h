// The JSON this room reads and writes: its own manifests, and the documents of an OCI image. Every decoder bounds what
// it takes, checks every type, and names the field it did not like.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "image/stored_image.h"

namespace cofferdam::image {

std::string encode_image(const StoredImage& image);
Result<StoredImage> decode_image(std::string_view json);
std::string encode_kernel(const Kernel& kernel);
Result<Kernel> decode_kernel(std::string_view json);  // without the folder

// The limits of what comes from outside.
constexpr std::size_t kMaxOciJsonBytes = 4U << 20;
constexpr std::size_t kMaxOciLayers = 512;
constexpr std::size_t kMaxConfigStrings = 4096;
constexpr std::size_t kMaxConfigStringBytes = 128U << 10;

struct OciDescriptor {
  std::string media_type;
  std::string sha256;  // 64 lower-case hex digits, checked
  std::uint64_t size = 0;
  std::string architecture;  // of an index's entry; may be empty
  std::string os;
};
// An image index: its entries. One of an unknown media type is kept; the caller chooses.
Result<std::vector<OciDescriptor>> decode_oci_index(std::string_view json);

struct OciManifest {
  OciDescriptor config;
  std::vector<OciDescriptor> layers;  // bottom first
};
Result<OciManifest> decode_oci_manifest(std::string_view json);

struct OciConfig {
  ImageConfig config;
  std::string architecture;
  std::string os;
  std::vector<std::string> diff_ids;  // SHA-256 of each layer without its compression
};
Result<OciConfig> decode_oci_config(std::string_view json);

}  // namespace cofferdam::image
