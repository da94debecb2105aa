#include "gate/policy.h"

#include <algorithm>

#include "base/text.h"

namespace cofferdam::gate {
namespace {

constexpr std::size_t kMaxResolvers = 8;
constexpr std::uint32_t kMaxDeadlineMs = 10 * 60 * 1000;
constexpr std::uint32_t kMaxTtlSeconds = 3600;
constexpr std::uint32_t kMaxIdleSeconds = 30 * 24 * 3600;
constexpr std::string_view kAnyName = "*";
constexpr std::string_view kAnyLabel = "*.";

bool is_name_pattern(std::string_view name) {
  if (name == kAnyName) return true;
  if (starts_with(name, kAnyLabel)) name.remove_prefix(kAnyLabel.size());
  return is_dns_name(name);
}

bool is_v4(const Cidr& range) { return range.first().is_v4() && range.host_bits() <= 32; }

tl::unexpected<Error> bad(std::string_view where, std::string_view what) {
  return fail(Code::InvalidArgument, cat("gate: ", where, ": ", what));
}

Status check_count(std::string_view what, std::size_t count, std::size_t max) {
  if (count > max) return bad(what, cat(count, " are more than ", max));
  return {};
}

Status check_ports(std::string_view where, const Ports& ports) {
  if (ports.empty()) return bad(where, "no port");
  TRY(check_count(where, ports.size(), kMaxPortRanges));
  for (const auto& range : ports) {
    if (range.first == 0 || range.last < range.first) {
      return bad(where, cat("ports ", range.first, "-", range.last, " are no range"));
    }
  }
  return {};
}

Status check_id(std::string_view where, std::string_view id) {
  if (id.empty() || id.size() > kMaxIdLength) return bad(where, "the workspace's id must have 1 to 64 characters");
  return {};
}

Status check_proxy(const OwnProxy& proxy) {
  const auto address = Address::parse(proxy.host);
  if (!is_dns_name(proxy.host) && !(address && address->text() == proxy.host)) {
    return bad("proxy", "its host is no name and no address");
  }
  if (proxy.port == 0) return bad("proxy", "needs a port");
  return validate_login(proxy.login);
}

// How closely a pattern that matches fits: an exact name before any suffix, a long suffix before a short one.
std::size_t closeness(std::string_view pattern) {
  if (pattern == kAnyName) return 0;
  return starts_with(pattern, kAnyLabel) ? pattern.size() : 2 * kMaxNameLength;
}

}  // namespace

bool name_matches(std::string_view pattern, std::string_view name) {
  if (pattern == kAnyName) return true;
  if (!starts_with(pattern, kAnyLabel)) return pattern == name;
  const auto suffix = pattern.substr(1);  // with its dot
  return name.size() > suffix.size() && name.substr(name.size() - suffix.size()) == suffix;
}

bool contains_port(const Ports& ports, std::uint16_t port) {
  return std::any_of(ports.begin(), ports.end(),
                     [port](const PortRange& range) { return range.first <= port && port <= range.last; });
}

Status validate_login(std::string_view login) {
  if (login.size() > kMaxLogin) return bad("proxy", cat("its user and password have more than ", kMaxLogin, " bytes"));
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; };
  if (std::any_of(login.begin(), login.end(), is_control)) {
    return bad("proxy", "its user or password has a line end or another control character");
  }
  if (!login.empty() && login.find(':') == std::string_view::npos) {
    return bad("proxy", "its login is not USER:PASSWORD");
  }
  return {};
}

Status validate(const Policy& policy) {
  TRY(check_count("name rules", policy.names.size(), kMaxRules));
  TRY(check_count("range rules", policy.ranges.size(), kMaxRules));
  TRY(check_count("links", policy.links.size(), kMaxLinks));
  TRY(check_count("exposed ports", policy.exposed.size(), kMaxExposed));
  for (const auto& rule : policy.names) {
    if (!is_name_pattern(rule.name)) return bad(rule.name, "is no host name, and no '*.' before one");
    TRY(check_ports(rule.name, rule.ports));
  }
  for (const auto& rule : policy.ranges) {
    if (!is_v4(rule.range)) return bad(rule.range.text(), "is no range of IPv4");
    TRY(check_ports(rule.range.text(), rule.ports));
  }
  for (const auto& link : policy.links) {
    if (!is_dns_name(link.name)) return bad(link.name, "is no name for a link");
    if (!link.address.is_v4()) return bad(link.name, "a link's address must be IPv4");
    TRY(check_ports(link.name, link.ports));
    TRY(check_id(link.name, link.target));
  }
  if (std::count(policy.exposed.begin(), policy.exposed.end(), 0) != 0) return bad("exposed ports", "0 is no port");
  if (policy.limits.idle_seconds > kMaxIdleSeconds) return bad("limits", "idle for more than 30 days");
  return policy.proxy ? check_proxy(*policy.proxy) : Status();
}

Status validate(const Settings& settings) {
  TRY(check_count("resolvers", settings.resolvers.size(), kMaxResolvers));
  TRY(check_count("denied names", settings.denied_names.size(), kMaxRules));
  TRY(check_count("denied ranges", settings.denied_ranges.size(), kMaxRules));
  TRY(check_count("opened ranges", settings.opened_ranges.size(), kMaxRules));
  for (const auto& resolver : settings.resolvers) {
    if (resolver.port == 0) return bad(resolver.address.text(), "a resolver needs a port");
  }
  for (const auto& name : settings.denied_names) {
    if (!is_name_pattern(name)) return bad(name, "is no host name, and no '*.' before one");
  }
  if (settings.proxy && settings.proxy->endpoint.port == 0) return bad("proxy", "needs a port");
  if (settings.proxy) TRY(validate_login(settings.proxy->login));
  for (const auto deadline : {settings.head_deadline_ms, settings.connect_deadline_ms}) {
    if (deadline == 0 || deadline > kMaxDeadlineMs) return bad("deadline", "must be 1 ms to 10 minutes");
  }
  if (settings.dns_ttl_seconds > kMaxTtlSeconds) return bad("DNS TTL", "is more than an hour");
  return {};
}

const NameRule* find_name_rule(const Policy& policy, std::string_view name, std::uint16_t port) {
  const NameRule* best = nullptr;
  for (const auto& rule : policy.names) {
    if (!name_matches(rule.name, name) || !contains_port(rule.ports, port)) continue;
    if (best == nullptr || closeness(rule.name) > closeness(best->name)) best = &rule;
  }
  return best;
}

bool allows_name(const Policy& policy, std::string_view name) {
  return std::any_of(policy.names.begin(), policy.names.end(),
                     [name](const NameRule& rule) { return name_matches(rule.name, name); });
}

const RangeRule* find_range_rule(const Policy& policy, const Address& address, std::uint16_t port) {
  const auto found = std::find_if(policy.ranges.begin(), policy.ranges.end(), [&](const RangeRule& rule) {
    return rule.range.contains(address) && contains_port(rule.ports, port);
  });
  return found == policy.ranges.end() ? nullptr : &*found;
}

const LinkRule* find_link(const Policy& policy, const Address& address, std::uint16_t port) {
  const auto found = std::find_if(policy.links.begin(), policy.links.end(), [&](const LinkRule& link) {
    return link.address == address && contains_port(link.ports, port);
  });
  return found == policy.links.end() ? nullptr : &*found;
}

const LinkRule* find_link_by_name(const Policy& policy, std::string_view name) {
  const auto found = std::find_if(policy.links.begin(), policy.links.end(),
                                  [name](const LinkRule& link) { return link.name == name; });
  return found == policy.links.end() ? nullptr : &*found;
}

bool denies_name(const Settings& settings, std::string_view name) {
  return std::any_of(settings.denied_names.begin(), settings.denied_names.end(),
                     [name](const std::string& pattern) { return name_matches(pattern, name); });
}

bool denies_address(const Settings& settings, const Address& address) {
  return any_contains(settings.denied_ranges, address);
}

}  // namespace cofferdam::gate
