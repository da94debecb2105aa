// What a workspace may reach and who may reach it, by policy; and what its network was seen to do.
#pragma once
#include <boost/json/object.hpp>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "net/networks.h"
#include "workspace/manager.h"

namespace cofferdam::incident {

using loop::Task;

// One end that connections went to, or were to go to: those with the same kind, name, address and port together.
struct Destination {
  std::string kind;  // "egress", "link", "ingress"
  std::string name, address;
  std::uint16_t port = 0;
  std::uint64_t opened = 0, refused = 0;
  std::uint64_t bytes_out = 0, bytes_in = 0;  // from the guest, to it
  std::uint64_t first_us = 0, last_us = 0;    // since 1970
  std::set<std::string> via;                  // the ways outside that were taken, each as net::Flow has it

  // Its name, or its address: "pypi.org:443".
  [[nodiscard]] std::string where() const;
};

struct Observed {
  std::vector<Destination> destinations;             // the most bytes out first; at most kMaxDestinations
  std::uint64_t more_destinations = 0;               // that were left out
  std::uint64_t names_asked = 0, names_refused = 0;  // questions for names
  std::uint64_t omitted = 0;                         // records that were left out, because there were too many
};
inline constexpr std::size_t kMaxDestinations = 200;

// Of the connections that are kept of it.
Task<Observed> observe(net::FlowLog& log, std::string workspace);
// The same, of records in the order of their time.
Observed summarize(const std::vector<net::Flow>& flows);

// {egress, egress_ports, internet, proxies, ways, links_out, links_in, exposed}: by the policy, whether or not the
// workspace is contained. `proxies`: what connections outside go through, the first one first, each {whose: "operator"
// or "workspace", told: "addresses" or "names", place?, login?}; where the operator's is, is the operator's affair.
// `ways`: those that a connection outside can take, as way_to_json() has them.
boost::json::object policy_of(const net::Networks& networks, const workspace::Manager& manager,
                              const std::string& workspace);
// ["operator", "proxy.example:3128"]; straight out is [].
boost::json::array way_to_json(const std::string& via);
boost::json::object to_json(const Destination& destination);
// Those that observed connections went through, each as a way has it.
std::set<std::string> proxies_of(const Observed& observed);
// For people.
std::string proxy_name(std::string_view proxy);
boost::json::object to_json(const Observed& observed);

}  // namespace cofferdam::incident
