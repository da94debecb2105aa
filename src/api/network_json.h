// The network of a workspace as clients say and read it.
#pragma once
#include <boost/json/object.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/call.h"
#include "api/services.h"

namespace cofferdam::api {

// The proxy that a client asks for; not looked at yet.
struct ProxyWish {
  std::string host;
  std::uint16_t port = 0;
  gate::ProxyTarget target = gate::ProxyTarget::address;
  std::shared_ptr<const SecureBytes> login;  // "USER:PASSWORD"; null: none
  // `kept`: that which the workspace has for this host and port already.
  enum class Login : std::uint8_t { given, kept } which = Login::given;
};
enum class OutboundMode : std::uint8_t { managed, custom };

// What a client asks to change; what it does not name stays.
struct NetworkChange {
  std::optional<bool> allow_internet;
  std::optional<std::vector<std::string>> egress;
  std::optional<gate::Ports> egress_ports, ingress_ports;
  std::optional<std::vector<std::string>> private_link_ids;
  std::optional<OutboundMode> outbound;  // `managed`: by no proxy of its own
  std::optional<ProxyWish> proxy;        // custom

  [[nodiscard]] bool nothing() const {
    return !allow_internet && !egress && !egress_ports && !ingress_ports && !private_link_ids && !outbound && !proxy;
  }
};
// Of a change, or of a create's configuration. Fields that this host has not, and that would change something, are told
// in `unsupported`.
struct ReadChange {
  NetworkChange change;
  std::optional<std::string> unsupported;
};
Result<ReadChange> network_change(const boost::json::object& object, std::string_view path);
// "443", [443, "8000-8080"].
Result<std::optional<gate::Ports>> ports_field(const boost::json::object& object, std::string_view path,
                                               std::string_view field);
boost::json::array ports_to_json(const gate::Ports& ports);  // numbers, and texts for ranges

// Carries it out. The caller may already do so to the workspace itself; linked ones are looked up here.
Task<void> apply_network(Services& services, const Caller& caller, std::string workspace, NetworkChange change);
boost::json::object network_to_json(Services& services, const Caller& caller, const std::string& workspace);

// What the client's word for a workspace means, when the caller may do this to it.
Result<workspace::Info> workspace_for(Services& services, const Caller& caller, identity::Verb verb,
                                      const std::string& asked);

}  // namespace cofferdam::api
