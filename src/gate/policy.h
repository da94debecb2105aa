// What the gate lets through, as plain values: net/ compiles a workspace's rules into a Policy, the gate asks it. The
// empty Policy lets nothing through.
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/dns_name.h"
#include "base/result.h"

namespace cofferdam::gate {

inline constexpr std::size_t kMaxRules = 512;      // of each kind, in one policy
inline constexpr std::size_t kMaxLinks = 256;      // from one workspace
inline constexpr std::size_t kMaxPortRanges = 16;  // of one rule
inline constexpr std::size_t kMaxExposed = 64;     // ports of one workspace
inline constexpr std::size_t kMaxNameLength = kMaxDnsName;
inline constexpr std::size_t kMaxIdLength = 64;  // of a workspace's id
inline constexpr std::size_t kMaxLogin = 512;    // of a proxy

// Both ends included; 1 to 65535.
struct PortRange {
  std::uint16_t first = 0;
  std::uint16_t last = 0;
  bool operator==(const PortRange&) const = default;
};
using Ports = std::vector<PortRange>;

// What the first bytes of a connection must be.
enum class Inspect : std::uint8_t {
  require,  // TLS whose SNI, or HTTP whose Host in every request, is the name; anything else is refused
  observe,  // on ports 80 and 443 the SNI or Host is held against the operator's deny list, and logged; else as raw
  raw,      // not looked at: for protocols of which neither is true, such as SSH. The name still decides where it goes
};
// `yes` refuses a ClientHello with ECH's outer extension: the SNI outside need not be the name inside.
enum class Strict : std::uint8_t { no, yes };
// `allow` lets an HTTP connection become something else after 101, which nobody looks at from then on.
enum class Upgrade : std::uint8_t { refuse, allow };

// A DNS name the workspace may reach. The gate resolves it itself, in the host's namespace, at connect time.
struct NameRule {
  std::string name;  // lower case, no final dot: "pypi.org"; "*.debian.org" (any depth, not debian.org itself); "*"
  Ports ports;
  Inspect inspect = Inspect::require;
  Strict strict = Strict::no;
  Upgrade upgrade = Upgrade::refuse;
  bool operator==(const NameRule&) const = default;
};

// Addresses the workspace may dial as such; looked at as Inspect::observe.
struct RangeRule {
  Cidr range;  // IPv4, because the guest has nothing else
  Ports ports;
  bool operator==(const RangeRule&) const = default;
};

// Ports of another workspace. `name` (such as "db.internal") is answered with `address`, which is how the guest knows
// that workspace: net/ chooses it, and it is best the target's own guest address.
struct LinkRule {
  std::string name;
  Address address;  // IPv4
  Ports ports;
  std::string target;  // the other workspace's id
  bool operator==(const LinkRule&) const = default;
};

// Zero: no limit of that kind. A whole second's worth may be used at once.
struct Limits {
  std::uint64_t bytes_per_second = 0;  // both ways together, all flows of the workspace
  std::uint32_t connections_per_second = 200;
  std::uint32_t connections = 1024;  // open at one time
  std::uint32_t dns_per_second = 50;
  std::uint32_t idle_seconds = 7200;  // a flow without a byte for so long is closed; 0: the default
  bool operator==(const Limits&) const = default;
};

// How a proxy is told where to connect: by an address the gate resolved and checked, or by the name, where the host
// cannot resolve outside names or the proxy is to choose the address; then it is the proxy that must refuse inside
// ones.
enum class ProxyTarget : std::uint8_t { address, name };

// An HTTP proxy of the workspace's own, through which everything goes but what the operator has opened inside. It is a
// destination like any other, looked up and checked by the gate, because a user of the workspace chose it.
struct OwnProxy {
  std::string host;  // a DNS name, or an address as Address::text() gives it
  std::uint16_t port = 0;
  ProxyTarget target = ProxyTarget::address;
  std::string login;  // "USER:PASSWORD", a secret; empty: none
  bool operator==(const OwnProxy&) const = default;
};

struct Policy {
  std::uint64_t generation = 0;  // grows with every change; an older one than the one held is refused
  std::vector<NameRule> names;
  std::vector<RangeRule> ranges;
  std::vector<LinkRule> links;
  std::vector<std::uint16_t> exposed;  // ports that OpenIngress may ask for as `exposed`
  Limits limits;
  std::optional<OwnProxy> proxy;  // where it changes, flows that went outside another way are closed
  bool operator==(const Policy&) const = default;
};

// The same for all workspaces; what the operator says is above every policy.
struct Endpoint {
  Address address;
  std::uint16_t port = 0;
  bool operator==(const Endpoint&) const = default;
};
// The operator's proxy: the first one on every way outside, before a workspace's own.
struct HttpProxy {
  Endpoint endpoint;  // may be an inside address: the operator chose it
  ProxyTarget target = ProxyTarget::address;
  std::string login;  // "USER:PASSWORD", a secret; empty: none
  bool operator==(const HttpProxy&) const = default;
};
struct Settings {
  std::vector<Endpoint> resolvers;  // DNS servers; empty: those of /etc/resolv.conf when the gate started. At most 8
  std::vector<std::string> denied_names;  // patterns as in NameRule; no workspace may reach them
  std::vector<Cidr> denied_ranges;        // the same by address, both families
  // Ranges of the site's own (private, unique local, shared, or the host's addresses) that workspaces may reach when
  // their policy also says so. Loopback, link-local, metadata and multicast stay refused whatever is written here.
  std::vector<Cidr> opened_ranges;
  std::optional<HttpProxy> proxy;
  std::uint32_t head_deadline_ms = 10'000;     // from accept to a whole ClientHello or HTTP head
  std::uint32_t connect_deadline_ms = 15'000;  // resolving and dialling together
  std::uint32_t dns_ttl_seconds = 30;          // of the answers to guests
  bool operator==(const Settings&) const = default;
};

// InvalidArgument names the rule and the bound.
Status validate(const Policy& policy);
Status validate(const Settings& settings);
// "USER:PASSWORD" in printable characters, or empty. The message does not repeat it.
Status validate_login(std::string_view login);

// "*", "*.suffix" or an exact name; both lower case.
bool name_matches(std::string_view pattern, std::string_view name);
bool contains_port(const Ports& ports, std::uint16_t port);

// The rule for this name and port: an exact one before "*.suffix", the longest suffix first, "*" last. nullptr: none.
const NameRule* find_name_rule(const Policy& policy, std::string_view name, std::uint16_t port);
// Whether any port of this name may be reached.
bool allows_name(const Policy& policy, std::string_view name);
const RangeRule* find_range_rule(const Policy& policy, const Address& address, std::uint16_t port);
const LinkRule* find_link(const Policy& policy, const Address& address, std::uint16_t port);
const LinkRule* find_link_by_name(const Policy& policy, std::string_view name);
bool denies_name(const Settings& settings, std::string_view name);
bool denies_address(const Settings& settings, const Address& address);

}  // namespace cofferdam::gate
