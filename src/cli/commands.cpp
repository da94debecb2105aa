#include "cli/commands.h"

namespace cofferdam::cli {

const std::vector<MakeCommand>& all_commands() {
  static const std::vector<MakeCommand> kAll{make_run,
                                             make_create,
                                             make_ls,
                                             make_exec,
                                             make_shell,
                                             make_cp,
                                             make_stop,
                                             make_start,
                                             make_rm,
                                             make_stats,
                                             make_logs,
                                             make_image_build,
                                             make_image_ls,
                                             make_image_import,
                                             make_image_rm,
                                             make_top,
                                             make_token_create,
                                             make_token_ls,
                                             make_token_rotate,
                                             make_token_rm,
                                             make_secret_set,
                                             make_secret_ls,
                                             make_secret_rm,
                                             make_namespace_create,
                                             make_namespace_ls,
                                             make_namespace_rm,
                                             make_namespace_suspend,
                                             make_namespace_activate,
                                             make_webhook_create,
                                             make_webhook_ls,
                                             make_webhook_rm,
                                             make_webhook_deliveries,
                                             make_workload_create,
                                             make_workload_ls,
                                             make_workload_start,
                                             make_workload_stop,
                                             make_workload_rm,
                                             make_workload_logs,
                                             make_up,
                                             make_down,
                                             make_doctor,
                                             make_completion,
                                             make_version};
  return kAll;
}

}  // namespace cofferdam::cli
