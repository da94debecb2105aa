#include "identity/grant.h"

#include <algorithm>
#include <array>

#include "base/id.h"
#include "base/text.h"
#include "base/time.h"

namespace cofferdam::identity {
namespace {

constexpr std::array<std::pair<Verb, std::string_view>, 8> kVerbs{{{Verb::read, "read"},
                                                                   {Verb::exec, "exec"},
                                                                   {Verb::files, "files"},
                                                                   {Verb::lifecycle, "lifecycle"},
                                                                   {Verb::network, "network"},
                                                                   {Verb::secrets, "secrets"},
                                                                   {Verb::tokens, "tokens"},
                                                                   {Verb::admin, "admin"}}};
constexpr std::size_t kMaxWorkspaces = 256;
constexpr std::string_view kAccount = "account";
constexpr std::string_view kNamespace = "namespace:";
constexpr std::string_view kWorkspaces = "workspaces:";

std::string join(const std::vector<std::string>& items, std::string_view separator) {
  std::string out;
  for (const auto& item : items) {
    if (!out.empty()) out += separator;
    out += item;
  }
  return out;
}

// Its bytes come from a client: no more of it than a line.
std::string in_quotes(std::string_view text) { return cat("'", text.substr(0, 64), "'"); }

std::optional<std::string> beyond_sources(const std::vector<Cidr>& wish, const std::vector<Cidr>& own) {
  if (own.empty()) return std::nullopt;
  if (wish.empty()) return "any source address";
  std::vector<std::string> outside;
  for (const auto& range : wish) {
    if (!any_contains(own, range)) outside.push_back(range.text());
  }
  if (outside.empty()) return std::nullopt;
  return cat("source addresses ", join(outside, ", "));
}

}  // namespace

std::string_view verb_name(Verb verb) { return kVerbs.at(static_cast<std::size_t>(verb)).second; }

VerbSet VerbSet::all() {
  VerbSet all;
  for (const auto& [verb, name] : kVerbs) all.bits_ |= bit(verb);
  return all;
}

Result<VerbSet> VerbSet::parse(std::string_view text) {
  VerbSet verbs;
  if (text.empty()) return verbs;
  for (const auto& name : split(text, ',')) {
    const auto* const found =
        std::find_if(kVerbs.begin(), kVerbs.end(), [&](const auto& row) { return row.second == name; });
    if (found == kVerbs.end()) {
      return fail(Code::InvalidArgument, cat(in_quotes(name), " is no verb"), cat("use any of ", all().text()));
    }
    verbs.bits_ |= bit(found->first);
  }
  return verbs;
}

std::vector<std::string> VerbSet::names() const {
  std::vector<std::string> names;
  for (const auto& [verb, name] : kVerbs) {
    if (has(verb)) names.emplace_back(name);
  }
  return names;
}

std::string VerbSet::text() const { return join(names(), ","); }

std::string scope_text(const Scope& scope) {
  if (const auto* some = std::get_if<SomeWorkspaces>(&scope)) return cat(kWorkspaces, join(some->ids, ","));
  if (const auto* one = std::get_if<OneNamespace>(&scope)) return cat(kNamespace, one->id);
  return std::string(kAccount);
}

Result<Scope> parse_scope(std::string_view text) {
  std::optional<Scope> scope;
  if (text == kAccount) scope = WholeAccount{};
  if (starts_with(text, kNamespace)) scope = OneNamespace{std::string(text.substr(kNamespace.size()))};
  if (starts_with(text, kWorkspaces)) scope = SomeWorkspaces{split(text.substr(kWorkspaces.size()), ',')};
  if (!scope) return fail(Code::InvalidArgument, cat(in_quotes(text), " is no scope"));
  TRY(validate(*scope));
  return *std::move(scope);
}

Status validate(const Scope& scope) {
  if (const auto* one = std::get_if<OneNamespace>(&scope); one != nullptr && !is_id(one->id, "ns")) {
    return fail(Code::InvalidArgument, cat("scope: ", in_quotes(one->id), " is no id of a namespace"));
  }
  const auto* some = std::get_if<SomeWorkspaces>(&scope);
  if (some == nullptr) return {};
  if (some->ids.empty() || some->ids.size() > kMaxWorkspaces) {
    return fail(Code::InvalidArgument,
                cat("scope: ", some->ids.size(), " workspaces, 1 to ", kMaxWorkspaces, " can be"));
  }
  for (const auto& id : some->ids) {
    if (!is_id(id, "ws")) return fail(Code::InvalidArgument, cat("scope: ", in_quotes(id), " is no id of a workspace"));
  }
  return {};
}

bool covers(const Scope& scope, std::string_view workspace_id, std::string_view namespace_id) {
  if (std::holds_alternative<WholeAccount>(scope)) return true;
  if (const auto* one = std::get_if<OneNamespace>(&scope)) return !one->id.empty() && one->id == namespace_id;
  const auto& ids = std::get<SomeWorkspaces>(scope).ids;
  return std::find(ids.begin(), ids.end(), workspace_id) != ids.end();
}

std::optional<std::string> beyond(const Scope& scope, const Scope& bound, const NamespaceOf& namespace_of) {
  if (std::holds_alternative<WholeAccount>(bound)) return std::nullopt;
  if (std::holds_alternative<WholeAccount>(scope)) return "the whole account";
  if (const auto* one = std::get_if<OneNamespace>(&scope)) {
    if (scope == bound) return std::nullopt;
    return cat("namespace ", one->id);
  }
  std::vector<std::string> outside;
  for (const auto& id : std::get<SomeWorkspaces>(scope).ids) {
    // Where the workspace lies matters to a namespace only.
    const bool ask = std::holds_alternative<OneNamespace>(bound) && namespace_of;
    const auto home = ask ? namespace_of(id) : std::nullopt;
    if (!covers(bound, id, home.value_or(""))) outside.push_back(id);
  }
  if (outside.empty()) return std::nullopt;
  return cat("workspace ", join(outside, ", "));
}

std::string sources_text(const std::vector<Cidr>& sources) {
  std::vector<std::string> items;
  items.reserve(sources.size());
  for (const auto& range : sources) items.push_back(range.text());
  return join(items, ",");
}

Result<std::vector<Cidr>> parse_sources(std::string_view text) {
  std::vector<Cidr> sources;
  if (text.empty()) return sources;
  for (const auto& item : split(text, ',')) {
    TRY_ASSIGN(const Cidr range, Cidr::parse(item));
    sources.push_back(range);
  }
  return sources;
}

Status refuse_wider(const Grant& wish, const Grant& own, const NamespaceOf& namespace_of) {
  std::vector<std::string> wider;
  if (const auto outside = beyond(wish.scope, own.scope, namespace_of)) wider.push_back(*outside);
  if (const auto verbs = wish.verbs.without(own.verbs); !verbs.empty()) wider.push_back(cat("verbs ", verbs.text()));
  if (const auto outside = beyond_sources(wish.sources, own.sources)) wider.push_back(*outside);
  if (own.expires_at && (!wish.expires_at || *wish.expires_at > *own.expires_at)) {
    wider.push_back(wish.expires_at ? cat("expiry ", format_rfc3339(*wish.expires_at)) : "no expiry");
  }
  if (wider.empty()) return {};
  return fail(Code::PermissionDenied, cat("wider than the credential that asks: ", join(wider, "; ")),
              "ask for no more than you have, or ask with a wider credential");
}

}  // namespace cofferdam::identity
