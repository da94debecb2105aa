// Reads the command line into a command's targets. Its source is part of main.cpp's program only; tests link it too.
#pragma once
#include <string>
#include <vector>

#include "cli/options.h"
#include "cli/outline.h"

namespace cofferdam::cli {

struct Parsed {
  GlobalOptions globals;
  CommandPtr command;  // empty: help of the program or of `group` is wanted, or nothing was given
  std::string group;   // the first word of several commands, such as "image"
};

// `words` are those after the program's name. The global options may stand before or after the verb. The command's
// accept() has not been called. InvalidArgument: a usage error. With globals.help nothing that is missing is an error.
Result<Parsed> parse_command_line(const std::vector<std::string>& words);

}  // namespace cofferdam::cli
