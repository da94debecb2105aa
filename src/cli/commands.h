// All verbs. Each is made in its own cmd_<verb>.cpp.
#pragma once
#include <vector>

#include "cli/options.h"

namespace cofferdam::cli {

CommandPtr make_backup();
CommandPtr make_restore();
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
CommandPtr make_suspend();
CommandPtr make_start();
CommandPtr make_rm();
CommandPtr make_stats();
CommandPtr make_logs();
CommandPtr make_image_build();
CommandPtr make_image_ls();
CommandPtr make_image_import();
CommandPtr make_image_rm();
CommandPtr make_token_create();
CommandPtr make_token_ls();
CommandPtr make_token_rotate();
CommandPtr make_token_rm();
CommandPtr make_secret_set();
CommandPtr make_secret_ls();
CommandPtr make_secret_rm();
CommandPtr make_namespace_create();
CommandPtr make_namespace_ls();
CommandPtr make_namespace_rm();
CommandPtr make_namespace_suspend();
CommandPtr make_namespace_activate();
CommandPtr make_webhook_create();
CommandPtr make_webhook_ls();
CommandPtr make_webhook_rm();
CommandPtr make_webhook_deliveries();
CommandPtr make_receipt_ls();
CommandPtr make_receipt_show();
CommandPtr make_receipt_verify();
CommandPtr make_workload_create();
CommandPtr make_workload_ls();
CommandPtr make_workload_start();
CommandPtr make_workload_stop();
CommandPtr make_workload_rm();
CommandPtr make_workload_logs();
CommandPtr make_network_show();
CommandPtr make_network_allow();
CommandPtr make_network_proxy();
CommandPtr make_link_add();
CommandPtr make_link_ls();
CommandPtr make_link_rm();
CommandPtr make_graph();
CommandPtr make_port_expose();
CommandPtr make_port_ls();
CommandPtr make_port_close();
CommandPtr make_port_forward();
CommandPtr make_connections();
CommandPtr make_flows();
CommandPtr make_contain();
CommandPtr make_release();
CommandPtr make_incident();
CommandPtr make_incidents();
CommandPtr make_evidence_export();
CommandPtr make_evidence_verify();
CommandPtr make_evidence_open();
CommandPtr make_drill();
CommandPtr make_ready();
CommandPtr make_export();
CommandPtr make_apply();
CommandPtr make_snapshot_create();
CommandPtr make_snapshot_ls();
CommandPtr make_snapshot_restore();
CommandPtr make_snapshot_rm();
CommandPtr make_archive_create();
CommandPtr make_archive_ls();
CommandPtr make_archive_restore();
CommandPtr make_archive_download();
CommandPtr make_archive_rm();
CommandPtr make_fork();
CommandPtr make_hold();
CommandPtr make_unhold();
CommandPtr make_top();
CommandPtr make_alerts_ls();
CommandPtr make_alerts_ack();
CommandPtr make_alerts_rules();
CommandPtr make_events();
CommandPtr make_ledger_verify();
CommandPtr make_ledger_checkpoint();
CommandPtr make_ledger_prove();
CommandPtr make_ledger_export();
CommandPtr make_completion();
CommandPtr make_version();

using MakeCommand = CommandPtr (*)();
// In the order of the help.
const std::vector<MakeCommand>& all_commands();

}  // namespace cofferdam::cli
