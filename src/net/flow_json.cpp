#include "net/flow_json.h"

#include <algorithm>

#include "base/time.h"

namespace cofferdam::net {

boost::json::object to_json(const Flow& flow) {
  const auto time = std::chrono::system_clock::time_point(
      std::chrono::microseconds(std::min<std::uint64_t>(flow.time_us, INT64_MAX / 2000)));
  boost::json::object object{{"time", format_rfc3339(time)}, {"workspace_id", flow.workspace}, {"event", flow.event}};
  if (flow.number != 0) object["number"] = flow.number;
  if (flow.omitted != 0) {
    object["omitted"] = flow.omitted;
    return object;
  }
  object["flow"] = flow.flow;
  object["kind"] = flow.kind;
  object["reason"] = flow.reason;
  object["name"] = flow.name;
  object["address"] = flow.address;
  object["port"] = flow.port;
  object["peer"] = flow.peer;
  object["via"] = flow.via;
  object["bytes_out"] = flow.bytes_out;
  object["bytes_in"] = flow.bytes_in;
  object["duration_ms"] = static_cast<double>(flow.duration_us) / 1000.0;
  return object;
}

}  // namespace cofferdam::net
