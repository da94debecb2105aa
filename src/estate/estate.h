// A whole installation as a value: what somebody could make again from nothing, without a secret in it.
#pragma once
#include <boost/json/object.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/ready_check.h"
#include "model/workspace_spec.h"

namespace cofferdam::estate {

inline constexpr int kVersion = 1;  // of the file

struct Namespace {
  std::string slug, name, description;
  std::string type = "default";
  std::optional<std::uint64_t> max_workspaces, max_vcpus, max_ram_mb, max_disk_gb;
};

// What the workspaces were made of; images are not made again from here, only compared.
struct Image {
  std::string name, digest;
};

struct EnvItem {
  std::string name;
  std::optional<std::string> value;  // nullopt: it has one that was not told
};

enum class Visitors { anybody, token_holders };
struct ExposedPort {
  std::uint16_t port = 0;
  std::string slug, label;
  Visitors visitors = Visitors::anybody;
};

// By which HTTP proxy of its own it goes outside.
struct Proxy {
  std::string host;  // a name in lower case, or an address
  std::uint16_t port = 0;
  enum class Told { addresses, names } told = Told::addresses;  // where to connect
  // A secret: that there is one is all that is known of it.
  enum class Login { none, some } login = Login::none;

  bool operator==(const Proxy&) const = default;
  [[nodiscard]] bool same_place(const Proxy& other) const { return host == other.host && port == other.port; }
};

struct Workspace {
  // Name, which is its key; namespace_id is the namespace's slug here; env is empty: see below. ttl_action is given.
  model::WorkspaceSpec spec;
  std::vector<EnvItem> env;
  enum class Internet { closed, open } internet = Internet::closed;
  std::vector<std::string> egress;
  std::string egress_ports;  // "443,8000-8080"; empty: 443 and 80
  std::optional<Proxy> proxy;
  std::vector<ExposedPort> exposed;
  std::optional<model::ReadyCheck> ready_check;
};

struct Link {
  std::string from, to;  // names of workspaces
  std::string ports, note;
  std::string id;  // where it is; in no file
};

struct Secret {
  std::string space, name;  // the namespace's slug
};

struct Token {
  std::string label, kind, scope;  // "runtime" or "control"; "account", "namespace" or "workspace"
  std::string space;               // slug, of a namespace's
  std::vector<std::string> workspaces, verbs, sources;
};

struct Estate {
  std::vector<Namespace> namespaces;
  std::vector<Image> images;
  std::vector<Workspace> workspaces;
  std::vector<Link> links;
  std::vector<Secret> secrets;
  std::vector<Token> tokens;
  // Those on top of the defaults, in their order, each a line. They are the daemon's configuration, which no call
  // changes: a difference is told. Empty: nothing is said about them.
  std::vector<std::string> alert_rules;
};

// In the order of their keys, so that the same installation is always the same text.
void sort(Estate& estate);

// The text of a file, as YAML.
std::string write(const Estate& estate);
// Hostile text. InvalidArgument names line and column as "FILE:3:7: …": what is no YAML, unknown or repeated keys,
// names that are given twice, values out of range, links to what is not in the file or to itself, a version that is
// newer than this program, anchors and aliases (with which a file could hold itself).
Result<Estate> read(std::string_view text, const std::string& file);

// Two that are equal have equal forms.
boost::json::object to_json(const Workspace& workspace);
boost::json::object to_json(const Estate& estate);

inline constexpr std::size_t kMaxAlertRules = 256;
inline constexpr std::size_t kMaxAlertRule = 512;  // bytes
inline constexpr std::size_t kMaxFileBytes = 4U << 20;

}  // namespace cofferdam::estate
