// What a credential is good for: which workspaces, which verbs, from where, until when. And the one rule of passing it
// on: never wider.
#pragma once
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/address.h"
#include "base/result.h"
#include "identity/clock.h"

namespace cofferdam::identity {

enum class Verb { read, exec, files, lifecycle, network, secrets, tokens, admin };
std::string_view verb_name(Verb verb);

// No verb implies another.
class VerbSet {
 public:
  VerbSet() = default;
  VerbSet(std::initializer_list<Verb> verbs) {
    for (const Verb verb : verbs) bits_ |= bit(verb);
  }
  static VerbSet all();
  // "read,exec"; an unknown name is an InvalidArgument error that lists the known ones. Empty text is no verb.
  static Result<VerbSet> parse(std::string_view text);

  [[nodiscard]] bool has(Verb verb) const { return (bits_ & bit(verb)) != 0; }
  [[nodiscard]] bool empty() const { return bits_ == 0; }
  [[nodiscard]] VerbSet without(VerbSet others) const { return VerbSet(bits_ & ~others.bits_); }
  [[nodiscard]] std::string text() const;
  [[nodiscard]] std::vector<std::string> names() const;
  bool operator==(const VerbSet&) const = default;

 private:
  explicit VerbSet(std::uint32_t bits) : bits_(bits) {}
  static std::uint32_t bit(Verb verb) { return 1U << static_cast<unsigned>(verb); }
  std::uint32_t bits_ = 0;
};

struct SomeWorkspaces {
  std::vector<std::string> ids;  // at most 256
  bool operator==(const SomeWorkspaces&) const = default;
};
struct OneNamespace {
  std::string id;
  bool operator==(const OneNamespace&) const = default;
};
struct WholeAccount {
  bool operator==(const WholeAccount&) const = default;
};
// The narrowest is the default: no workspace at all.
using Scope = std::variant<SomeWorkspaces, OneNamespace, WholeAccount>;

// "account", "namespace:ns_…", "workspaces:ws_…,ws_…".
std::string scope_text(const Scope& scope);
Result<Scope> parse_scope(std::string_view text);
// InvalidArgument: no workspace, too many, or what is no id.
Status validate(const Scope& scope);
bool covers(const Scope& scope, std::string_view workspace_id, std::string_view namespace_id);

// The namespace of a workspace; nullopt when there is none such. Asked on the loop.
using NamespaceOf = std::function<std::optional<std::string>(std::string_view workspace_id)>;
// What of `scope` lies outside `bound`, in words; nullopt when nothing does.
std::optional<std::string> beyond(const Scope& scope, const Scope& bound, const NamespaceOf& namespace_of);

struct Grant {
  Scope scope;
  VerbSet verbs;
  std::vector<Cidr> sources;       // empty: from anywhere
  std::optional<Time> expires_at;  // nullopt: never
};

// "10.0.0.0/8,::1/128".
std::string sources_text(const std::vector<Cidr>& sources);
Result<std::vector<Cidr>> parse_sources(std::string_view text);

// PermissionDenied, naming everything that `wish` has and `own` has not.
Status refuse_wider(const Grant& wish, const Grant& own, const NamespaceOf& namespace_of);

}  // namespace cofferdam::identity
