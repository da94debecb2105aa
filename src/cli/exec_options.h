// The options of a command in a workspace, shared by `run` and `exec`.
#pragma once
#include <string>
#include <vector>

#include "cli/env_items.h"
#include "cli/options.h"
#include "model/workspace_spec.h"

namespace cofferdam::cli {

struct ExecOptions {
  bool interactive = false, terminal = false;
  std::string workdir, user, timeout, max_output;
  EnvOptions env;
  std::vector<std::string> command;
  void declare(Options& options);
  // `command` becomes the argv. Validated.
  [[nodiscard]] Result<model::ExecSpec> resolve() const;
};

}  // namespace cofferdam::cli
