#include "gate/policy_message.h"

#include "base/text.h"

namespace cofferdam::gate {
namespace {

constexpr std::size_t kMaxAddressText = 49;

tl::unexpected<Error> malformed(std::string_view what) {
  return fail(Code::InvalidArgument, cat("gate policy: malformed ", what));
}

// An enumerator of `count`, or an error.
template <class Enum>
Result<Enum> read_enum(ByteReader& in, std::uint8_t count, std::string_view what) {
  const std::uint8_t value = in.u8();
  if (value >= count) return malformed(what);
  return static_cast<Enum>(value);
}

// A count of things, never more than `max`.
Result<std::size_t> read_count(ByteReader& in, std::size_t max, std::string_view what) {
  const std::size_t count = in.u16();
  if (!in.ok() || count > max) return malformed(what);
  return count;
}

void write_ports(ByteWriter& out, const Ports& ports) {
  out.u16(static_cast<std::uint16_t>(ports.size()));
  for (const auto& range : ports) {
    out.u16(range.first);
    out.u16(range.last);
  }
}

Result<Ports> read_ports(ByteReader& in) {
  TRY_ASSIGN(const std::size_t count, read_count(in, kMaxPortRanges, "port ranges"));
  Ports ports(count);
  for (auto& range : ports) {
    range.first = in.u16();
    range.last = in.u16();
  }
  return ports;
}

void write_endpoint(ByteWriter& out, const Endpoint& endpoint) {
  write_address(out, endpoint.address);
  out.u16(endpoint.port);
}

Result<Endpoint> read_endpoint(ByteReader& in) {
  Endpoint endpoint;
  TRY_ASSIGN(endpoint.address, read_address(in));
  endpoint.port = in.u16();
  return endpoint;
}

void write_limits(ByteWriter& out, const Limits& limits) {
  out.u64(limits.bytes_per_second);
  out.u32(limits.connections_per_second);
  out.u32(limits.connections);
  out.u32(limits.dns_per_second);
  out.u32(limits.idle_seconds);
}

Limits read_limits(ByteReader& in) {
  Limits limits;
  limits.bytes_per_second = in.u64();
  limits.connections_per_second = in.u32();
  limits.connections = in.u32();
  limits.dns_per_second = in.u32();
  limits.idle_seconds = in.u32();
  return limits;
}

Result<NameRule> read_name_rule(ByteReader& in) {
  NameRule rule;
  rule.name = in.text(kMaxNameLength);
  TRY_ASSIGN(rule.ports, read_ports(in));
  TRY_ASSIGN(rule.inspect, read_enum<Inspect>(in, 3, "inspection"));
  TRY_ASSIGN(rule.strict, read_enum<Strict>(in, 2, "strictness"));
  TRY_ASSIGN(rule.upgrade, read_enum<Upgrade>(in, 2, "upgrade"));
  return rule;
}

Result<LinkRule> read_link(ByteReader& in) {
  LinkRule link;
  link.name = in.text(kMaxNameLength);
  TRY_ASSIGN(link.address, read_address(in));
  TRY_ASSIGN(link.ports, read_ports(in));
  link.target = in.text(kMaxIdLength);
  return link;
}

void write_proxy(ByteWriter& out, const OwnProxy& proxy) {
  out.text(proxy.host);
  out.u16(proxy.port);
  out.u8(static_cast<std::uint8_t>(proxy.target));
  out.text(proxy.login);
}

Result<OwnProxy> read_proxy(ByteReader& in) {
  OwnProxy proxy;
  proxy.host = in.text(kMaxNameLength);
  proxy.port = in.u16();
  TRY_ASSIGN(proxy.target, read_enum<ProxyTarget>(in, 2, "proxy target"));
  proxy.login = in.text(kMaxLogin);
  return proxy;
}

Result<std::vector<Cidr>> read_ranges(ByteReader& in) {
  TRY_ASSIGN(const std::size_t count, read_count(in, kMaxRules, "ranges"));
  std::vector<Cidr> ranges;
  for (std::size_t i = 0; i < count; ++i) {
    TRY_ASSIGN(const Cidr range, read_range(in));
    ranges.push_back(range);
  }
  return ranges;
}

void write_ranges(ByteWriter& out, const std::vector<Cidr>& ranges) {
  out.u16(static_cast<std::uint16_t>(ranges.size()));
  for (const auto& range : ranges) write_range(out, range);
}

}  // namespace

void write_address(ByteWriter& out, const Address& address) { out.text(address.text()); }
void write_range(ByteWriter& out, const Cidr& range) { out.text(range.text()); }

Result<Address> read_address(ByteReader& in) {
  const auto text = in.text(kMaxAddressText);
  if (!in.ok()) return malformed("address");
  TRY_ASSIGN(const Address address, Address::parse(text));
  if (address.text() != text) return malformed("address");
  return address;
}

Result<Cidr> read_range(ByteReader& in) {
  const auto text = in.text(kMaxAddressText);
  if (!in.ok()) return malformed("range");
  TRY_ASSIGN(const Cidr range, Cidr::parse(text));
  if (range.text() != text) return malformed("range");
  return range;
}

Status write_policy(ByteWriter& out, const Policy& policy) {
  TRY(validate(policy));
  out.u64(policy.generation);
  out.u16(static_cast<std::uint16_t>(policy.names.size()));
  for (const auto& rule : policy.names) {
    out.text(rule.name);
    write_ports(out, rule.ports);
    out.u8(static_cast<std::uint8_t>(rule.inspect));
    out.u8(static_cast<std::uint8_t>(rule.strict));
    out.u8(static_cast<std::uint8_t>(rule.upgrade));
  }
  out.u16(static_cast<std::uint16_t>(policy.ranges.size()));
  for (const auto& rule : policy.ranges) {
    write_range(out, rule.range);
    write_ports(out, rule.ports);
  }
  out.u16(static_cast<std::uint16_t>(policy.links.size()));
  for (const auto& link : policy.links) {
    out.text(link.name);
    write_address(out, link.address);
    write_ports(out, link.ports);
    out.text(link.target);
  }
  out.u16(static_cast<std::uint16_t>(policy.exposed.size()));
  for (const auto port : policy.exposed) out.u16(port);
  write_limits(out, policy.limits);
  out.u8(policy.proxy ? 1 : 0);
  if (policy.proxy) write_proxy(out, *policy.proxy);
  return {};
}

Result<Policy> read_policy(ByteReader& in) {
  Policy policy;
  policy.generation = in.u64();
  TRY_ASSIGN(const std::size_t names, read_count(in, kMaxRules, "name rules"));
  for (std::size_t i = 0; i < names; ++i) {
    TRY_ASSIGN(NameRule rule, read_name_rule(in));
    policy.names.push_back(std::move(rule));
  }
  TRY_ASSIGN(const std::size_t ranges, read_count(in, kMaxRules, "range rules"));
  for (std::size_t i = 0; i < ranges; ++i) {
    RangeRule rule;
    TRY_ASSIGN(rule.range, read_range(in));
    TRY_ASSIGN(rule.ports, read_ports(in));
    policy.ranges.push_back(std::move(rule));
  }
  TRY_ASSIGN(const std::size_t links, read_count(in, kMaxLinks, "links"));
  for (std::size_t i = 0; i < links; ++i) {
    TRY_ASSIGN(LinkRule link, read_link(in));
    policy.links.push_back(std::move(link));
  }
  TRY_ASSIGN(const std::size_t exposed, read_count(in, kMaxExposed, "exposed ports"));
  for (std::size_t i = 0; i < exposed; ++i) policy.exposed.push_back(in.u16());
  policy.limits = read_limits(in);
  TRY_ASSIGN(const std::uint8_t proxy, read_enum<std::uint8_t>(in, 2, "proxy"));
  if (proxy == 1) {
    TRY_ASSIGN(OwnProxy wanted, read_proxy(in));
    policy.proxy = std::move(wanted);
  }
  if (!in.ok()) return malformed("policy: too short");
  TRY(validate(policy));
  return policy;
}

Status write_settings(ByteWriter& out, const Settings& settings) {
  TRY(validate(settings));
  out.u16(static_cast<std::uint16_t>(settings.resolvers.size()));
  for (const auto& resolver : settings.resolvers) write_endpoint(out, resolver);
  out.u16(static_cast<std::uint16_t>(settings.denied_names.size()));
  for (const auto& name : settings.denied_names) out.text(name);
  write_ranges(out, settings.denied_ranges);
  write_ranges(out, settings.opened_ranges);
  out.u8(settings.proxy ? 1 : 0);
  if (settings.proxy) {
    write_endpoint(out, settings.proxy->endpoint);
    out.u8(static_cast<std::uint8_t>(settings.proxy->target));
    out.text(settings.proxy->login);
  }
  out.u32(settings.head_deadline_ms);
  out.u32(settings.connect_deadline_ms);
  out.u32(settings.dns_ttl_seconds);
  return {};
}

Result<Settings> read_settings(ByteReader& in) {
  Settings settings;
  TRY_ASSIGN(const std::size_t resolvers, read_count(in, kMaxRules, "resolvers"));
  for (std::size_t i = 0; i < resolvers; ++i) {
    TRY_ASSIGN(const Endpoint resolver, read_endpoint(in));
    settings.resolvers.push_back(resolver);
  }
  TRY_ASSIGN(const std::size_t names, read_count(in, kMaxRules, "denied names"));
  for (std::size_t i = 0; i < names; ++i) settings.denied_names.emplace_back(in.text(kMaxNameLength));
  TRY_ASSIGN(settings.denied_ranges, read_ranges(in));
  TRY_ASSIGN(settings.opened_ranges, read_ranges(in));
  TRY_ASSIGN(const std::uint8_t proxy, read_enum<std::uint8_t>(in, 2, "proxy"));
  if (proxy == 1) {
    HttpProxy wanted;
    TRY_ASSIGN(wanted.endpoint, read_endpoint(in));
    TRY_ASSIGN(wanted.target, read_enum<ProxyTarget>(in, 2, "proxy target"));
    wanted.login = in.text(kMaxLogin);
    settings.proxy = std::move(wanted);
  }
  settings.head_deadline_ms = in.u32();
  settings.connect_deadline_ms = in.u32();
  settings.dns_ttl_seconds = in.u32();
  if (!in.ok()) return malformed("settings: too short");
  TRY(validate(settings));
  return settings;
}

}  // namespace cofferdam::gate
