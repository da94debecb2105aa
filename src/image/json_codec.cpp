#include "image/json_codec.h"

#include <algorithm>
#include <boost/json.hpp>

#include "base/text.h"

namespace cofferdam::image {
namespace {

namespace json = boost::json;

constexpr std::size_t kMaxDepth = 32;
constexpr std::size_t kMaxNameBytes = 4096;

Error bad(std::string_view field, std::string_view why) {
  return Error{Code::InvalidArgument, cat("JSON field '", field, "' ", why), {}};
}

// A parse failure or a non-object at the top is an error.
Result<json::object> parse_object(std::string_view text, std::size_t max_bytes) {
  if (text.size() > max_bytes) return fail(Code::InvalidArgument, cat("JSON of more than ", max_bytes, " bytes"));
  json::parse_options options;
  options.max_depth = kMaxDepth;
  boost::system::error_code ec;
  json::value value = json::parse({text.data(), text.size()}, ec, {}, options);
  if (ec) return fail(Code::InvalidArgument, cat("not JSON: ", ec.message()));
  if (!value.is_object()) return fail(Code::InvalidArgument, "JSON that is not an object");
  return std::move(value.get_object());
}

// Null counts as absent, as Go programs write it.
const json::value* find(const json::object& object, std::string_view field) {
  const auto* value = object.if_contains({field.data(), field.size()});
  return value == nullptr || value->is_null() ? nullptr : value;
}

Result<std::string> get_text(const json::object& object, std::string_view field, std::size_t max = kMaxNameBytes) {
  const auto* value = find(object, field);
  if (value == nullptr) return std::string();
  if (!value->is_string()) return fail(bad(field, "is not a string"));
  const auto& text = value->get_string();
  if (text.size() > max) return fail(bad(field, "is too long"));
  // These become arguments, environment and paths: none can carry a NUL.
  if (text.find('\0') != json::string::npos) return fail(bad(field, "holds a NUL byte"));
  return std::string(text.data(), text.size());
}

Result<std::string> need_text(const json::object& object, std::string_view field) {
  TRY_ASSIGN(std::string text, get_text(object, field));
  if (text.empty()) return fail(bad(field, "is missing"));
  return text;
}

Result<std::uint64_t> need_size(const json::object& object, std::string_view field) {
  const auto* value = find(object, field);
  if (value == nullptr) return fail(bad(field, "is missing"));
  if (value->is_int64() && value->get_int64() >= 0) return static_cast<std::uint64_t>(value->get_int64());
  if (value->is_uint64()) return value->get_uint64();
  return fail(bad(field, "is not a size"));
}

Result<std::vector<std::string>> get_texts(const json::object& object, std::string_view field) {
  std::vector<std::string> out;
  const auto* value = find(object, field);
  if (value == nullptr) return out;
  if (!value->is_array()) return fail(bad(field, "is not a list"));
  if (value->get_array().size() > kMaxConfigStrings) return fail(bad(field, "has too many entries"));
  for (const auto& entry : value->get_array()) {
    if (!entry.is_string()) return fail(bad(field, "holds something that is not a string"));
    const auto& text = entry.get_string();
    if (text.size() > kMaxConfigStringBytes) return fail(bad(field, "holds a string that is too long"));
    if (text.find('\0') != json::string::npos) return fail(bad(field, "holds a NUL byte"));
    out.emplace_back(text.data(), text.size());
  }
  return out;
}

Result<const json::object*> get_object(const json::object& object, std::string_view field) {
  const auto* value = find(object, field);
  if (value == nullptr) return nullptr;
  if (!value->is_object()) return fail(bad(field, "is not an object"));
  return &value->get_object();
}

json::array to_array(const std::vector<std::string>& texts) {
  json::array out;
  for (const auto& text : texts) out.emplace_back(text);
  return out;
}

Result<std::string> strip_sha256(std::string_view field, std::string_view digest) {
  constexpr std::string_view kPrefix = "sha256:";
  constexpr std::size_t kHexDigits = 64;
  const bool right = starts_with(digest, kPrefix) && digest.size() == kPrefix.size() + kHexDigits &&
                     std::all_of(digest.begin() + kPrefix.size(), digest.end(),
                                 [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
  if (!right) return fail(bad(field, "is not sha256: with 64 lower-case hex digits"));
  return std::string(digest.substr(kPrefix.size()));
}

Result<OciDescriptor> decode_descriptor(const json::object& object) {
  OciDescriptor out;
  TRY_ASSIGN(out.media_type, get_text(object, "mediaType"));
  TRY_ASSIGN(const std::string digest, need_text(object, "digest"));
  TRY_ASSIGN(out.sha256, strip_sha256("digest", digest));
  TRY_ASSIGN(out.size, need_size(object, "size"));
  TRY_ASSIGN(const auto* platform, get_object(object, "platform"));
  if (platform != nullptr) {
    TRY_ASSIGN(out.architecture, get_text(*platform, "architecture"));
    TRY_ASSIGN(out.os, get_text(*platform, "os"));
  }
  return out;
}

Result<std::vector<OciDescriptor>> decode_descriptors(const json::object& object, std::string_view field) {
  const auto* value = find(object, field);
  if (value == nullptr || !value->is_array()) return fail(bad(field, "is not a list"));
  if (value->get_array().size() > kMaxOciLayers) return fail(bad(field, "has too many entries"));
  std::vector<OciDescriptor> out;
  for (const auto& entry : value->get_array()) {
    if (!entry.is_object()) return fail(bad(field, "holds something that is not an object"));
    TRY_ASSIGN(OciDescriptor descriptor, decode_descriptor(entry.get_object()));
    out.push_back(std::move(descriptor));
  }
  return out;
}

}  // namespace

std::string encode_image(const StoredImage& image) {
  const json::object config{{"env", to_array(image.config.env)},
                            {"workdir", image.config.workdir},
                            {"user", image.config.user},
                            {"entrypoint", to_array(image.config.entrypoint)},
                            {"cmd", to_array(image.config.cmd)}};
  const json::object object{{"name", image.name},       {"key", image.key},         {"digest", image.digest},
                            {"size", image.size_bytes}, {"created", image.created}, {"source", image.source},
                            {"config", config}};
  return json::serialize(object) + "\n";
}

Result<StoredImage> decode_image(std::string_view text) {
  TRY_ASSIGN(const json::object object, parse_object(text, kMaxOciJsonBytes));
  StoredImage out;
  TRY_ASSIGN(out.name, need_text(object, "name"));
  TRY_ASSIGN(out.key, need_text(object, "key"));
  TRY_ASSIGN(const std::string digest, need_text(object, "digest"));
  TRY_ASSIGN(out.digest, strip_sha256("digest", "sha256:" + digest));
  TRY_ASSIGN(out.size_bytes, need_size(object, "size"));
  TRY_ASSIGN(out.created, need_text(object, "created"));
  TRY_ASSIGN(out.source, need_text(object, "source"));
  TRY_ASSIGN(const auto* config, get_object(object, "config"));
  if (config == nullptr) return fail(bad("config", "is missing"));
  TRY_ASSIGN(out.config.env, get_texts(*config, "env"));
  TRY_ASSIGN(out.config.workdir, get_text(*config, "workdir"));
  TRY_ASSIGN(out.config.user, get_text(*config, "user"));
  TRY_ASSIGN(out.config.entrypoint, get_texts(*config, "entrypoint"));
  TRY_ASSIGN(out.config.cmd, get_texts(*config, "cmd"));
  return out;
}

std::string encode_kernel(const Kernel& kernel) {
  const json::object object{{"version", kernel.version},
                            {"package_version", kernel.package_version},
                            {"digest", kernel.digest},
                            {"modules", to_array(kernel.modules)}};
  return json::serialize(object) + "\n";
}

Result<Kernel> decode_kernel(std::string_view text) {
  TRY_ASSIGN(const json::object object, parse_object(text, kMaxOciJsonBytes));
  Kernel out;
  TRY_ASSIGN(out.version, need_text(object, "version"));
  TRY_ASSIGN(out.package_version, need_text(object, "package_version"));
  TRY_ASSIGN(out.digest, need_text(object, "digest"));
  TRY_ASSIGN(out.modules, get_texts(object, "modules"));
  return out;
}

Result<std::vector<OciDescriptor>> decode_oci_index(std::string_view text) {
  TRY_ASSIGN(const json::object object, parse_object(text, kMaxOciJsonBytes));
  return decode_descriptors(object, "manifests");
}

Result<OciManifest> decode_oci_manifest(std::string_view text) {
  TRY_ASSIGN(const json::object object, parse_object(text, kMaxOciJsonBytes));
  OciManifest out;
  TRY_ASSIGN(const auto* config, get_object(object, "config"));
  if (config == nullptr) return fail(bad("config", "is missing"));
  TRY_ASSIGN(out.config, decode_descriptor(*config));
  TRY_ASSIGN(out.layers, decode_descriptors(object, "layers"));
  return out;
}

Result<OciConfig> decode_oci_config(std::string_view text) {
  TRY_ASSIGN(const json::object object, parse_object(text, kMaxOciJsonBytes));
  OciConfig out;
  TRY_ASSIGN(out.architecture, get_text(object, "architecture"));
  TRY_ASSIGN(out.os, get_text(object, "os"));
  TRY_ASSIGN(const auto* config, get_object(object, "config"));
  if (config != nullptr) {
    TRY_ASSIGN(out.config.env, get_texts(*config, "Env"));
    for (const auto& variable : out.config.env) {
      if (const auto equals = variable.find('='); equals == std::string::npos || equals == 0) {
        return fail(bad("Env", "holds something that is not NAME=value"));
      }
    }
    TRY_ASSIGN(out.config.workdir, get_text(*config, "WorkingDir"));
    if (!out.config.workdir.empty() && out.config.workdir.front() != '/') {
      return fail(bad("WorkingDir", "is not an absolute path"));
    }
    TRY_ASSIGN(out.config.user, get_text(*config, "User"));
    TRY_ASSIGN(out.config.entrypoint, get_texts(*config, "Entrypoint"));
    TRY_ASSIGN(out.config.cmd, get_texts(*config, "Cmd"));
  }
  TRY_ASSIGN(const auto* rootfs, get_object(object, "rootfs"));
  if (rootfs == nullptr) return fail(bad("rootfs", "is missing"));
  TRY_ASSIGN(const auto diff_ids, get_texts(*rootfs, "diff_ids"));
  for (const auto& id : diff_ids) {
    TRY_ASSIGN(std::string digest, strip_sha256("diff_ids", id));
    out.diff_ids.push_back(std::move(digest));
  }
  return out;
}

}  // namespace cofferdam::image
