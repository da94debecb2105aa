// The four questions about a workspace's data: what can it reach, where does it flow and through what, who can see it,
// and what becomes of it when the workspace is destroyed. Answered from policy, and from what was observed.
#pragma once
#include <boost/json/object.hpp>

#include "incident/incident_book.h"
#include "incident/report.h"

namespace cofferdam::incident {

// How the host's API can be reached, for who may be on the way of what goes through it.
enum class ApiTransport { socket_only, clear_text, tls };

// {workspace, name, state, contained, reaches, flows, seen_by, when_destroyed}. NotFound: no such workspace.
Task<boost::json::object> data_flows(Sources sources, const IncidentBook& book, ApiTransport api,
                                     std::string workspace_id);

}  // namespace cofferdam::incident
