// Commands that are one request and its answer.
#pragma once
#include <boost/json/object.hpp>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/api.h"
#include "cli/session.h"

namespace cofferdam::cli {

// A column of a table: its title, and the field that is in it (text, number, flag or list of texts).
struct Shown {
  std::string title, field;
};
// The objects of `list` in the answer to a GET, a row each; with --json the answer itself.
Task<int> show_list(Session& session, std::string target, std::string list, std::vector<Shown> columns);

// One request; `say` makes the text of its answer (empty: nothing is printed), with --json the answer itself is it.
using Say = std::function<std::string(const boost::json::object& answer)>;
Task<int> make_call(Session& session, std::string method, std::string target, boost::json::object body, Say say);

// "/tokens/<encoded>" from "/tokens" and a name, with what follows.
std::string target_of(std::string_view base, std::string_view name, std::string_view rest = {});
// "?namespace=…", or nothing.
std::string namespace_query(const std::string& space);

// Lines of server-sent events until the stream ends, each object to `take`.
Task<void> follow_events(http::ClientResponse& response, std::function<void(const boost::json::object&)> take);

}  // namespace cofferdam::cli
