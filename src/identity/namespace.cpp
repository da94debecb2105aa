#include "identity/namespace.h"

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <utility>

#include "base/text.h"

namespace cofferdam::identity {
namespace {

namespace json = boost::json;

constexpr std::size_t kMaxName = 255;
constexpr std::size_t kMaxDescription = 4096;
constexpr std::size_t kMaxSlug = 63;
constexpr std::size_t kMaxTags = 32;
constexpr std::size_t kMaxTag = 64;
constexpr std::size_t kMaxMetadata = 16U << 10;
constexpr std::uint64_t kMaxLimit = 1ULL << 40;

constexpr std::array<std::pair<NamespaceStatus, std::string_view>, 3> kStatuses{
    {{NamespaceStatus::active, "active"},
     {NamespaceStatus::inactive, "inactive"},
     {NamespaceStatus::suspended, "suspended"}}};
constexpr std::array<std::pair<NamespaceType, std::string_view>, 5> kTypes{{{NamespaceType::standard, "default"},
                                                                            {NamespaceType::production, "production"},
                                                                            {NamespaceType::staging, "staging"},
                                                                            {NamespaceType::development, "development"},
                                                                            {NamespaceType::testing, "testing"}}};

template <class T, std::size_t N>
Result<T> parse(std::string_view what, std::string_view name,
                const std::array<std::pair<T, std::string_view>, N>& table) {
  std::string known;
  for (const auto& [value, text] : table) {
    if (text == name) return value;
    known += cat(known.empty() ? "" : ", ", text);
  }
  return fail(Code::InvalidArgument, cat(what, ": '", name.substr(0, 64), "' is none"), cat("use one of ", known));
}

bool is_lower_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

json::value to_json(const std::optional<std::uint64_t>& limit) { return limit ? json::value(*limit) : json::value(); }

}  // namespace

std::string_view status_name(NamespaceStatus status) { return kStatuses.at(static_cast<std::size_t>(status)).second; }
std::string_view type_name(NamespaceType type) { return kTypes.at(static_cast<std::size_t>(type)).second; }
Result<NamespaceStatus> parse_namespace_status(std::string_view name) { return parse("status", name, kStatuses); }
Result<NamespaceType> parse_namespace_type(std::string_view name) { return parse("type", name, kTypes); }

Status check_active(const Namespace& space) {
  if (space.status != NamespaceStatus::suspended) return {};
  return fail(Code::PermissionDenied,
              cat("the namespace '", space.slug, "' is suspended: nothing is made or started in it"),
              std::string(kSuspendedHint));
}

bool is_slug(std::string_view text) {
  const auto fits = [](char c) { return is_lower_or_digit(c) || c == '-'; };
  return !text.empty() && text.size() <= kMaxSlug && std::all_of(text.begin(), text.end(), fits) &&
         text.front() != '-' && text.back() != '-';
}

std::string slug_from_name(std::string_view name) {
  std::string slug;
  for (char c : name) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (is_lower_or_digit(c)) {
      slug.push_back(c);
    } else if (!slug.empty() && slug.back() != '-') {
      slug.push_back('-');
    }
  }
  slug.resize(std::min(slug.size(), kMaxSlug));
  while (!slug.empty() && slug.back() == '-') slug.pop_back();
  return slug.empty() ? "namespace" : slug;
}

Status validate(const Namespace& space) {
  const auto bad = [](std::string_view field, std::string_view why) {
    return fail(Code::InvalidArgument, cat(field, ": ", why));
  };
  if (space.name.empty() || space.name.size() > kMaxName || has_control(space.name)) {
    return bad("name", "1 to 255 bytes without control characters");
  }
  if (!is_slug(space.slug)) return bad("slug", "1 to 63 lower-case letters, digits and inner hyphens");
  if (space.description.size() > kMaxDescription) return bad("description", "at most 4096 bytes");
  if (space.tags.size() > kMaxTags) return bad("tags", "at most 32");
  for (const auto& tag : space.tags) {
    if (tag.empty() || tag.size() > kMaxTag || has_control(tag)) return bad("tags", "each 1 to 64 bytes");
  }
  if (json::serialize(space.metadata).size() > kMaxMetadata) return bad("metadata", "at most 16 KiB");
  const auto& limits = space.limits;
  for (const auto& limit : {limits.max_workspaces, limits.max_vcpus, limits.max_ram_mb, limits.max_disk_gb}) {
    if (limit.value_or(0) > kMaxLimit) return bad("resource_limits", "each under 2^40");
  }
  return {};
}

json::object apply(const NamespaceChange& change, Namespace& space) {
  json::object changes;
  const auto set = [&](const char* field, const auto& wanted, auto& target, const auto& as_json) {
    if (!wanted || *wanted == target) return;
    target = *wanted;
    changes[field] = as_json(target);
  };
  const auto text = [](const std::string& value) { return json::value(value); };
  set("name", change.name, space.name, text);
  set("description", change.description, space.description, text);
  set("status", change.status, space.status, status_name);
  set("type", change.type, space.type, type_name);
  set("metadata", change.metadata, space.metadata, [](const json::object& value) { return json::value(value); });
  set("tags", change.tags, space.tags, [](const auto& tags) { return json::array(tags.begin(), tags.end()); });
  set("max_workspaces", change.max_workspaces, space.limits.max_workspaces, to_json);
  set("max_vcpus", change.max_vcpus, space.limits.max_vcpus, to_json);
  set("max_ram_mb", change.max_ram_mb, space.limits.max_ram_mb, to_json);
  set("max_disk_gb", change.max_disk_gb, space.limits.max_disk_gb, to_json);
  return changes;
}

}  // namespace cofferdam::identity
