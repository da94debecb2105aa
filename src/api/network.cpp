// The network of a workspace: there is none, and this says so.
#include "api/handlers.h"
#include "base/text.h"
#include "model/json.h"

namespace cofferdam::api {
namespace {

namespace json = boost::json;

json::object closed_network() {
  return {{"ip", nullptr},
          {"gateway", nullptr},
          {"public_access", false},
          {"allow_internet", false},
          {"ingress", json::array{}},
          {"ingress_ports", json::array{}},
          {"egress", json::array{}},
          {"egress_ports", json::array{}},
          {"outbound_ip", nullptr},
          {"outbound_mode", "managed"},
          {"private_links", json::array{}}};
}

// The fields of a change and what is coming for each; a value that is the one there is changes nothing.
struct Field {
  std::string_view name, coming;
};
constexpr Field kFields[] = {
    {"allow_internet", "access to allowed names through the gate"},
    {"public_access", "ports that can be reached from outside"},
    {"ingress", "ports that can be reached from outside"},
    {"ingress_ports", "ports that can be reached from outside"},
    {"egress", "access to allowed names through the gate"},
    {"egress_ports", "access to allowed names through the gate"},
    {"private_link_ids", "one-way links between workspaces"},
    {"outbound_mode", "a proxy of one's own on the way out"},
    {"custom_proxy", "a proxy of one's own on the way out"},
};

bool changes_nothing(const json::value& value) {
  if (value.is_null()) return true;
  if (const auto* flag = value.if_bool()) return !*flag;
  if (const auto* list = value.if_array()) return list->empty();
  if (const auto* text = value.if_string()) return *text == "managed";
  return false;
}

}  // namespace

Task<http::Response> get_network(Services& /*services*/, Call& /*call*/) { co_return answer(closed_network()); }

Task<http::Response> update_network(Services& /*services*/, Call& call) {
  CO_TRY_ASSIGN(const auto body, co_await read_object(call));
  for (const auto& field : kFields) {
    const auto* value = body.if_contains(json::string_view(field.name.data(), field.name.size()));
    if (value == nullptr || changes_nothing(*value)) continue;
    co_return not_supported(call,
                            cat("/", field.name, ": the network of a workspace is closed, and cannot be opened yet"),
                            cat("what will come: ", field.coming));
  }
  co_return answer(closed_network());
}

}  // namespace cofferdam::api
