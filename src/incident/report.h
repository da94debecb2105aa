// What somebody wants to know of a workspace that was cut off: whom could it reach and whom did it reach, what did it
// have, what was made with it, and where to look next.
#pragma once
#include <boost/json/object.hpp>

#include "identity/identity.h"
#include "incident/incident.h"
#include "incident/reach.h"
#include "ledger/ledger.h"

namespace cofferdam::incident {

struct Sources {
  workspace::Manager& manager;
  net::Networks& networks;
  identity::Identity& identity;
  ledger::Ledger* ledger;  // null: none is kept, and the report says so
};

// What cannot be found out is missing, and named in the report's "missing".
Task<boost::json::object> make_report(Sources sources, Incident incident);
boost::json::array to_json(const std::vector<identity::Token>& tokens);

}  // namespace cofferdam::incident
