#include "monitor/target.h"

#include <algorithm>

#include "base/address.h"
#include "base/text.h"
#include "gate/address_guard.h"

namespace cofferdam::monitor {
namespace {

constexpr std::size_t kMaxUrl = 2048;

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
  if (parsed && gate::classify(*parsed) == gate::AddressClass::outside) return {};
  return fail(Code::PermissionDenied, cat("'", address, "' is not a public address"),
              "the operator may allow private ones: webhooks.private");
}

}  // namespace cofferdam::monitor
