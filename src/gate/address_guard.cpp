#include "gate/address_guard.h"

#include <string_view>
#include <vector>

namespace cofferdam::gate {
namespace {

constexpr std::string_view kSite[] = {"10.0.0.0/8",    "172.16.0.0/12", "192.168.0.0/16",
                                      "100.64.0.0/10", "198.18.0.0/15", "fc00::/7"};

// RFC 6890 and its successors, the metadata services that lie elsewhere, and every way to write an IPv4 address as an
// IPv6 one: the check must not be passed in disguise.
constexpr std::string_view kNever[] = {
    "0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16",  // this host, loopback, link-local with most metadata
                                                   // services
    "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4",
    "240.0.0.0/4",                     // protocol assignments, documentation, 6to4, multicast, reserved
    "100.100.100.200/32",              // Alibaba's metadata
    "168.63.129.16/32",                // Azure's
    "fd00:ec2::/32", "fd20:ce::/32",   // Amazon's and Google's
    "64:ff9b::/96", "64:ff9b:1::/48",  // NAT64
    "2001::/23",                       // Teredo, ORCHID
    "2001:db8::/32", "3fff::/20",      // documentation
    "2002::/16",                       // 6to4
    "5f00::/16",                       // segment routing
};
constexpr std::string_view kGlobalV6 = "2000::/3";

std::vector<Cidr> parse_all(const auto& texts) {
  std::vector<Cidr> ranges;
  for (const auto text : texts) ranges.push_back(Cidr::parse(text).value());
  return ranges;
}

}  // namespace

AddressClass classify(const Address& address) {
  static const std::vector<Cidr> kNeverRanges = parse_all(kNever);
  static const std::vector<Cidr> kSiteRanges = parse_all(kSite);
  static const Cidr kGlobal = Cidr::parse(kGlobalV6).value();
  if (any_contains(kNeverRanges, address)) return AddressClass::never;
  if (any_contains(kSiteRanges, address)) return AddressClass::site;
  if (!address.is_v4() && !kGlobal.contains(address)) return AddressClass::never;
  return AddressClass::outside;
}

bool may_dial(const Settings& settings, const Address& address) {
  if (denies_address(settings, address)) return false;
  switch (classify(address)) {
    case AddressClass::outside:
      return true;
    case AddressClass::site:
      return any_contains(settings.opened_ranges, address);
    case AddressClass::never:
      break;
  }
  return false;
}

}  // namespace cofferdam::gate
