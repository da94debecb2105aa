// A namespace as a value: workspaces, secrets and limits that belong together, such as those of one customer.
#pragma once
#include <boost/json/object.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "identity/clock.h"
#include "identity/limits.h"

namespace cofferdam::identity {

enum class NamespaceStatus { active, inactive, suspended };
enum class NamespaceType { standard, production, staging, development, testing };  // `standard` is called "default"
std::string_view status_name(NamespaceStatus status);
std::string_view type_name(NamespaceType type);
Result<NamespaceStatus> parse_namespace_status(std::string_view name);
Result<NamespaceType> parse_namespace_type(std::string_view name);

struct Namespace {
  std::string id;    // "ns_…"
  std::string slug;  // unique; lower-case letters, digits and inner hyphens, at most 63
  std::string name;  // 1 to 255 bytes
  std::string description;
  NamespaceType type = NamespaceType::standard;
  NamespaceStatus status = NamespaceStatus::active;
  bool is_default = false;
  boost::json::object metadata;
  std::vector<std::string> tags;
  ResourceLimits limits;
  Time created_at, updated_at;
  std::optional<Time> last_active_at;
};

enum class MakeDefault { no, yes };

struct NamespaceDraft {
  std::string name;
  std::string slug;  // empty: made from the name
  std::string description;
  NamespaceType type = NamespaceType::standard;
  MakeDefault make_default = MakeDefault::no;
  boost::json::object metadata;
  std::vector<std::string> tags;
  ResourceLimits limits;
};

// nullopt leaves a field as it is; a limit that holds a nullopt takes it away.
struct NamespaceChange {
  std::optional<std::string> name, description;
  std::optional<NamespaceStatus> status;
  std::optional<NamespaceType> type;
  std::optional<boost::json::object> metadata;
  std::optional<std::vector<std::string>> tags;
  std::optional<std::optional<std::uint64_t>> max_workspaces, max_vcpus, max_ram_mb, max_disk_gb;
};

// InvalidArgument with the field's name: sizes, characters, 32 tags of 64 bytes, 16 KiB of metadata, limits under 2^40.
Status validate(const Namespace& space);
// Whether anything may be made or started in it: PermissionDenied when it is suspended, with a hint that nothing else
// has.
inline constexpr std::string_view kSuspendedHint = "activate it: POST /namespaces/ID/activate";
Status check_active(const Namespace& space);
bool is_slug(std::string_view text);
// "Acme Inc. (EU)" becomes "acme-inc-eu"; "namespace" when nothing is left.
std::string slug_from_name(std::string_view name);
// The names of the fields that `change` gives another value, and the value of each.
boost::json::object apply(const NamespaceChange& change, Namespace& space);

}  // namespace cofferdam::identity
