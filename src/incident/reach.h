// What a workspace may reach and who may reach it, by policy; and what its network was seen to do.
#pragma once
#include <boost/json/object.hpp>
#include <cstdint>
#include <string>
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

// {egress, egress_ports, internet, links_out, links_in, exposed}: by the policy, whether or not the workspace is
// contained.
boost::json::object policy_of(const net::Networks& networks, const workspace::Manager& manager,
                              const std::string& workspace);
boost::json::object to_json(const Destination& destination);
boost::json::object to_json(const Observed& observed);

}  // namespace cofferdam::incident
