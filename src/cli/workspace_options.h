// The options that shape a workspace, shared by `run` and `create`.
#pragma once
#include <boost/json/object.hpp>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/options.h"
#include "model/workspace_spec.h"

namespace cofferdam::cli {

struct WorkspaceOptions {
  std::string image, cpus, memory, disk, ttl, disk_bps, disk_iops;
  std::vector<std::string> allow;
  bool internet = false;
  void declare(Options& options);
  // Fills in what was given; the sizes are the nearest whole MiB above.
  [[nodiscard]] Status apply(model::WorkspaceSpec& spec) const;
  // The body of a create: the spec, and what the workspace may reach.
  [[nodiscard]] boost::json::object create_body(const model::WorkspaceSpec& spec) const;
};

// model::validate, with the options' names instead of the fields'.
Status validate_options(const model::WorkspaceSpec& spec);

// "0.5" or "2" in thousandths of a CPU.
Result<std::uint32_t> parse_cpus(std::string_view text);

// A duration, "0" is none; `what` names the option in errors.
Result<std::chrono::milliseconds> parse_time(std::string_view what, std::string_view text);

}  // namespace cofferdam::cli
