// All verbs. Each is made in its own cmd_<verb>.cpp.
#pragma once
#include <vector>

#include "cli/options.h"

namespace cofferdam::cli {

CommandPtr make_up();
CommandPtr make_down();
CommandPtr make_doctor();
CommandPtr make_run();
CommandPtr make_create();
CommandPtr make_ls();
CommandPtr make_exec();
CommandPtr make_shell();
CommandPtr make_cp();
CommandPtr make_stop();
CommandPtr make_start();
CommandPtr make_rm();
CommandPtr make_stats();
CommandPtr make_logs();
CommandPtr make_image_build();
CommandPtr make_image_ls();
CommandPtr make_image_import();
CommandPtr make_image_rm();
CommandPtr make_completion();
CommandPtr make_version();

using MakeCommand = CommandPtr (*)();
// In the order of the help.
const std::vector<MakeCommand>& all_commands();

}  // namespace cofferdam::cli
