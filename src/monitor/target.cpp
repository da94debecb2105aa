#include "monitor/target.h"

#include <algorithm>
#include <vector>

#include "base/address.h"
#include "base/text.h"

namespace cofferdam::monitor {
namespace {

constexpr std::size_t kMaxUrl = 2048;

// RFC 6890 and what carries an IPv4 address inside an IPv6 one: the check must not be passed in disguise.
constexpr std::string_view kNotPublic[] = {
    "0.0.0.0/8",      "10.0.0.0/8",   "100.64.0.0/10",  "127.0.0.0/8",    "169.254.0.0/16", "172.16.0.0/12",
    "192.0.0.0/24",   "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15",  "198.51.100.0/24",
    "203.0.113.0/24", "224.0.0.0/4",  "240.0.0.0/4",    "::/127",         "64:ff9b::/96",   "64:ff9b:1::/48",
    "100::/64",       "2001::/23",    "2001:db8::/32",  "2002::/16",      "fc00::/7",       "fe80::/10",
    "fec0::/10",      "ff00::/8"};

const std::vector<Cidr>& not_public() {
  static const auto kRanges = [] {
    std::vector<Cidr> ranges;
    for (const auto text : kNotPublic) ranges.push_back(Cidr::parse(text).value());
    return ranges;
  }();
  return kRanges;
}

}  // namespace

Result<Target> parse_target(std::string_view url) {
  const auto refused = [](std::string_view why) {
    return fail(Code::InvalidArgument, cat("/url: ", why), "write it like https://example.com/hook");
  };
  if (url.size() > kMaxUrl) return refused(cat("is longer than ", kMaxUrl, " bytes"));
  if (std::any_of(url.begin(), url.end(), [](unsigned char c) { return c <= ' ' || c >= 0x7f; })) {
    return refused("has a blank, a control character, or one that must be escaped");
  }
  const auto scheme = url.find("://");
  if (scheme == std::string_view::npos || !(url.starts_with("http://") || url.starts_with("https://"))) {
    return refused("must start with https:// or http://");
  }
  if (url.find('#') != std::string_view::npos) return refused("has a fragment");
  const auto begin = url.find_first_of("/?", scheme + 3);
  const auto origin = url.substr(0, begin);
  if (origin.find('@') != std::string_view::npos) return refused("has a user name in it");
  Target target;
  auto endpoint = http::parse_endpoint(origin);
  if (!endpoint) return refused("has no valid host and port");
  target.endpoint = std::move(*endpoint);
  target.path = begin == std::string_view::npos ? "/" : std::string(url.substr(begin));
  if (target.path.front() != '/') target.path.insert(0, "/");
  return target;
}

Status check_address(std::string_view address, Reach reach) {
  if (reach == Reach::private_too) return {};
  const auto parsed = Address::parse(address);
  if (parsed && !any_contains(not_public(), *parsed)) return {};
  return fail(Code::PermissionDenied, cat("'", address, "' is not a public address"),
              "the operator may allow private ones: webhooks.private");
}

}  // namespace cofferdam::monitor
