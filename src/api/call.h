// One request on its way to its handler, and the answers handlers give.
#pragma once
#include <boost/json/object.hpp>
#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/caller.h"
#include "http/message.h"
#include "model/event.h"

namespace cofferdam::api {

using loop::Task;

struct Call {
  http::Request& request;           // outlives the call
  std::vector<std::string> params;  // what the pattern's {…} matched, in order
  const Caller* caller = nullptr;   // who may do this, as far as the door can tell; never null in a handler
  std::string_view summary = {};    // of the route
  // For the ledger: what the call is about, as soon as that is known, and what in its body says what it changes.
  model::Subject about = {};
  std::string detail = {};

  [[nodiscard]] const identity::Principal& who() const { return caller->who; }
  [[nodiscard]] const std::string& id() const { return params.front(); }
};

inline constexpr std::size_t kMaxJsonBody = 1U << 20;

// A body as an object; an empty one is an empty object. The errors of model::parse_json.
Result<boost::json::object> parse_object(std::string_view text);
// The same from the request. More than kMaxJsonBody is refused.
Task<boost::json::object> read_object(Call& call);
// A text of the query that must be there once and must not be empty.
Result<std::string> required_query(const Call& call, std::string_view name);
// nullopt when absent.
Result<std::optional<std::string>> query_text(const Call& call, std::string_view name);
Result<std::uint64_t> query_whole(const Call& call, std::string_view name, std::uint64_t otherwise, std::uint64_t min,
                                  std::uint64_t max);
// False when absent; given at most once; "1" and "true", "0" and "false" are known.
Result<bool> query_flag(const Call& call, std::string_view name);
// A text field that must be there and must not be empty.
Result<std::string> required_text(const boost::json::object& object, std::string_view field);

// Absent and null are nullopt; else the InvalidArgument names the field as "<path>/<field>".
Result<std::optional<std::uint64_t>> get_whole(const boost::json::object& object, std::string_view path,
                                               std::string_view field, std::uint64_t min, std::uint64_t max);
Result<std::optional<std::vector<std::string>>> get_texts(const boost::json::object& object, std::string_view path,
                                                          std::string_view field);
Result<std::optional<boost::json::object>> get_object(const boost::json::object& object, std::string_view path,
                                                      std::string_view field);
// {"K": "V"}.
Result<std::optional<std::map<std::string, std::string>>> get_text_map(const boost::json::object& object,
                                                                       std::string_view path, std::string_view field);
// A number of seconds or a text such as "30m"; at least a second, at most a year.
Result<std::optional<std::chrono::milliseconds>> get_duration(const boost::json::object& object, std::string_view path,
                                                              std::string_view field);
boost::json::array to_array(const std::vector<std::string>& items);

// `object` with "success": true.
http::Response answer(boost::json::object object, int status = 200);
// What was such an answer's body before.
http::Response json_answer(std::string body, int status = 200);
// An error under a name and status that clients know it by.
http::Response refusal(const Call& call, int status, std::string_view code, std::string message, std::string hint = {});
// 501 "not_supported": what cofferdam does not have, and why or what to use instead.
http::Response not_supported(const Call& call, std::string what, std::string hint = {});

}  // namespace cofferdam::api
