// The environment of a command, from --env and --env-file. Values may be secrets: no message repeats one.
#pragma once
#include <boost/json/object.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cli/options.h"

namespace cofferdam::cli {

// Looks a name up in our own environment.
using EnvLookup = std::optional<std::string> (*)(const std::string& name);
std::optional<std::string> own_environment(const std::string& name);

// One "K=V"; or "K", which takes our own value and is an error when we have none.
Result<std::string> parse_env_item(std::string_view text, EnvLookup lookup = own_environment);

// Lines of "K=V" or "K" as above; empty lines and lines that start with '#' are skipped; the value is the rest of the
// line as it is, without quoting. Errors name the line. In a file a "K" that we do not have is left out.
Result<std::vector<std::string>> parse_env_file(std::string_view content, EnvLookup lookup = own_environment);

// The options, and what they give together: files first, --env after, the last of a name wins.
struct EnvOptions {
  std::vector<std::string> items, files;
  bool control_token = false;  // one of this host's among the values is on purpose
  void declare(Options& options);
  // Says so in the body of a request that carries what resolve() gave.
  void mark(boost::json::object& body) const;
  [[nodiscard]] Result<std::vector<std::string>> resolve() const;
};

}  // namespace cofferdam::cli
