#include "net/proxy.h"

#include "base/dns_name.h"
#include "base/text.h"
#include "gate/address_guard.h"

namespace cofferdam::net {
namespace {

std::string_view login_of(const Proxy& proxy) { return proxy.login ? proxy.login->view() : std::string_view(); }

}  // namespace

bool Proxy::operator==(const Proxy& other) const {
  return host == other.host && port == other.port && target == other.target && state == other.state &&
         login_of(*this) == login_of(other);
}

Result<Proxy> make_proxy(const gate::Settings& settings, std::string_view host, std::uint16_t port,
                         gate::ProxyTarget target, const SecureBytes& login) {
  Proxy proxy;
  proxy.port = port;
  proxy.target = target;
  if (port == 0) return fail(Code::InvalidArgument, "port: is missing");
  TRY_ASSIGN(proxy.host, public_host(host));
  if (const auto address = Address::parse(proxy.host)) {
    // The gate checks again whenever it connects.
    if (!gate::may_dial(settings, *address)) {
      return fail(Code::PermissionDenied, "host: the address leads inwards, or the operator denies it",
                  "a proxy of the site's own is the operator's to set (network.proxy), or to open "
                  "(network.allow_private)");
    }
  } else if (gate::denies_name(settings, proxy.host)) {
    return fail(Code::PermissionDenied, "host: the operator denies this name", "choose another proxy");
  }
  if (auto checked = gate::validate_login(login.view()); !checked) {
    return fail(Code::InvalidArgument, cat("username or password: ", checked.error().message));
  }
  if (!login.empty()) proxy.login = std::make_shared<const SecureBytes>(login.clone());
  return proxy;
}

std::string proxy_text(const Proxy& proxy) { return host_and_port(proxy.host, proxy.port); }

gate::OwnProxy for_gate(const Proxy& proxy) {
  return {proxy.host, proxy.port, proxy.target, std::string(login_of(proxy))};
}

}  // namespace cofferdam::net
