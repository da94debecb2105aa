// The HTTP proxy of a workspace's own: what its connections go out through, as its user names it.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/secure_bytes.h"
#include "gate/policy.h"

namespace cofferdam::net {

struct Proxy {
  std::string host;  // a name in lower case, or an address
  std::uint16_t port = 0;
  gate::ProxyTarget target = gate::ProxyTarget::address;
  std::shared_ptr<const SecureBytes> login;  // "USER:PASSWORD"; null: none
  // Its login lies in the database and cannot be opened: nothing goes out.
  enum class Login : std::uint8_t { known, unreadable } state = Login::known;
  bool operator==(const Proxy& other) const;
};

// InvalidArgument names the field, as "port", and never repeats user or password. PermissionDenied: a host that the
// operator denies, or an address that leads inwards.
Result<Proxy> make_proxy(const gate::Settings& settings, std::string_view host, std::uint16_t port,
                         gate::ProxyTarget target, const SecureBytes& login);
// "proxy.example:3128", without the login.
std::string proxy_text(const Proxy& proxy);
gate::OwnProxy for_gate(const Proxy& proxy);

}  // namespace cofferdam::net
