// The programs this room runs, in the plain language of whoever reads their output.
#pragma once
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "base/process.h"

namespace cofferdam::image {

inline RunOptions command(std::vector<std::string> argv, std::chrono::milliseconds timeout = std::chrono::minutes(1)) {
  RunOptions options;
  options.argv = std::move(argv);
  options.extra_env = {"LC_ALL=C.UTF-8"};
  options.timeout = timeout;
  return options;
}

}  // namespace cofferdam::image
