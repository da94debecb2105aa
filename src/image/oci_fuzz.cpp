// Any bytes as each of the JSON documents of an image: no crash, and what is accepted keeps its promises.
#include <cstdlib>

#include "base/bytes.h"
#include "image/json_codec.h"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

void check(const cofferdam::image::OciDescriptor& descriptor) {
  require(descriptor.sha256.size() == 64 &&
          descriptor.sha256.find_first_not_of("0123456789abcdef") == std::string::npos);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cofferdam::image;
  const auto text = cofferdam::as_text({data, size});
  if (const auto index = decode_oci_index(text)) {
    for (const auto& entry : *index) check(entry);
  }
  if (const auto manifest = decode_oci_manifest(text)) {
    check(manifest->config);
    require(manifest->layers.size() <= kMaxOciLayers);
    for (const auto& layer : manifest->layers) check(layer);
  }
  if (const auto config = decode_oci_config(text)) {
    for (const auto& variable : config->config.env) {
      require(variable.find('=') != std::string::npos && variable.find('\0') == std::string::npos);
    }
    require(config->config.workdir.empty() || config->config.workdir.front() == '/');
  }
  if (const auto image = decode_image(text)) {
    const auto again = decode_image(encode_image(*image));
    require(again && encode_image(*again) == encode_image(*image));
  }
  return 0;
}
