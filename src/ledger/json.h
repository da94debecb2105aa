// Entries as JSON: as our API tells them, and as OCSF events (version 1.3) for those who collect from many sources.
#pragma once
#include <boost/json/object.hpp>

#include "ledger/canonical.h"

namespace cofferdam::ledger {

// {number, time, uptime_us, kind, actor, address, request, workspace, namespace, …the kind's own fields}; what is not
// there is left out. Fields of a newer program are named by their number.
boost::json::object to_json(const Decoded& entry);
// With all of the above under "unmapped".
boost::json::object to_ocsf(const Decoded& entry, std::string_view origin);

}  // namespace cofferdam::ledger
