#include "cli/commands.h"

namespace cofferdam::cli {

const std::vector<MakeCommand>& all_commands() {
  static const std::vector<MakeCommand> kAll{
      make_run,      make_create, make_ls,    make_exec,   make_shell,       make_cp,       make_stop,
      make_start,    make_rm,     make_stats, make_logs,   make_image_build, make_image_ls, make_image_import,
      make_image_rm, make_up,     make_down,  make_doctor, make_completion,  make_version};
  return kAll;
}

}  // namespace cofferdam::cli
