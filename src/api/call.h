// One request on its way to its handler, and the answers handlers give.
#pragma once
#include <boost/json/object.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/message.h"

namespace cofferdam::api {

using loop::Task;

struct Call {
  http::Request& request;           // outlives the call
  std::vector<std::string> params;  // what the pattern's {…} matched, in order

  [[nodiscard]] const std::string& id() const { return params.front(); }
};

inline constexpr std::size_t kMaxJsonBody = 1U << 20;

// A body as an object; an empty one is an empty object. The errors of model::parse_json.
Result<boost::json::object> parse_object(std::string_view text);
// The same from the request. More than kMaxJsonBody is refused.
Task<boost::json::object> read_object(Call& call);
// A text of the query that must be there once and must not be empty.
Result<std::string> required_query(const Call& call, std::string_view name);
// False when absent; given at most once; "1" and "true", "0" and "false" are known.
Result<bool> query_flag(const Call& call, std::string_view name);
// A text field that must be there and must not be empty.
Result<std::string> required_text(const boost::json::object& object, std::string_view field);

// `object` with "success": true.
http::Response answer(boost::json::object object, int status = 200);

}  // namespace cofferdam::api
