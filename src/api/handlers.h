// The handlers that the table of routes names; each file of handlers is one resource.
#pragma once
#include <functional>
#include <string>

#include "api/call.h"
#include "api/services.h"

namespace cofferdam::api {

// `services` and `call` outlive the task.
using CallHandler = Task<http::Response> (*)(Services& services, Call& call);

// runtime_door.cpp: answers a request that came with a runtime token; `caller` outlives the task.
Task<http::Response> open_runtime(Services& services, const Caller& caller, http::Request& request);
Task<http::Response> open_runtime_below_workspace(Services& services, const Caller& caller, http::Request& request);

// call.cpp: 501, with the route's summary as the reason.
Task<http::Response> refuse(Services& services, Call& call);

// host.cpp
Task<http::Response> get_health(Services& services, Call& call);
Task<http::Response> get_host(Services& services, Call& call);
Task<http::Response> shut_down_host(Services& services, Call& call);
Task<http::Response> back_up_host(Services& services, Call& call);

// events.cpp
Task<http::Response> list_events(Services& services, Call& call);
Task<http::Response> stream_entries(Services& services, Call& call);
Task<http::Response> export_events(Services& services, Call& call);
Task<http::Response> get_ledger(Services& services, Call& call);
Task<http::Response> get_checkpoint(Services& services, Call& call);
Task<http::Response> get_ledger_keys(Services& services, Call& call);
Task<http::Response> prove_entry(Services& services, Call& call);
Task<http::Response> prove_consistency(Services& services, Call& call);

// openapi.cpp
Task<http::Response> get_openapi(Services& services, Call& call);

// images.cpp
Task<http::Response> list_images(Services& services, Call& call);
Task<http::Response> import_image(Services& services, Call& call);
Task<http::Response> build_image(Services& services, Call& call);
Task<http::Response> remove_image(Services& services, Call& call);

// account.cpp
Task<http::Response> get_quota(Services& services, Call& call);
Task<http::Response> get_estimate(Services& services, Call& call);
Task<http::Response> get_usage(Services& services, Call& call);
Task<http::Response> get_activity(Services& services, Call& call);
Task<http::Response> list_archived(Services& services, Call& call);

// workspaces.cpp
Task<http::Response> create_workspace(Services& services, Call& call);
// The same; `fill` puts files into it before its workloads start. When that fails, it is removed.
Task<http::Response> make_workspace(Services& services, Call& call, std::function<Task<void>(std::string id)> fill);
Task<http::Response> list_workspaces(Services& services, Call& call);
Task<http::Response> get_workspace(Services& services, Call& call);
Task<http::Response> update_workspace(Services& services, Call& call);
Task<http::Response> remove_workspace(Services& services, Call& call);
Task<http::Response> get_details(Services& services, Call& call);
Task<http::Response> start_workspace(Services& services, Call& call);
Task<http::Response> stop_workspace(Services& services, Call& call);
Task<http::Response> restart_workspace(Services& services, Call& call);
Task<http::Response> pause_workspace(Services& services, Call& call);
Task<http::Response> suspend_workspace(Services& services, Call& call);
Task<http::Response> resume_workspace(Services& services, Call& call);
Task<http::Response> ping_workspace(Services& services, Call& call);
Task<http::Response> retry_provisioning(Services& services, Call& call);

// lifecycle.cpp
Task<http::Response> get_lifecycle(Services& services, Call& call);
Task<http::Response> make_permanent(Services& services, Call& call);
Task<http::Response> make_temporary(Services& services, Call& call);
Task<http::Response> set_workspace_ttl(Services& services, Call& call);
Task<http::Response> set_workspace_idle(Services& services, Call& call);
Task<http::Response> get_resources(Services& services, Call& call);
Task<http::Response> set_resources(Services& services, Call& call);
Task<http::Response> get_metadata(Services& services, Call& call);
Task<http::Response> replace_metadata(Services& services, Call& call);
Task<http::Response> merge_metadata(Services& services, Call& call);

// stats.cpp
Task<http::Response> get_workspace_stats(Services& services, Call& call);
Task<http::Response> stream_workspace_stats(Services& services, Call& call);
Task<http::Response> get_info(Services& services, Call& call);
Task<http::Response> get_config(Services& services, Call& call);
Task<http::Response> get_workspace_usage(Services& services, Call& call);
Task<http::Response> get_workspace_totals(Services& services, Call& call);
Task<http::Response> wipe_usage(Services& services, Call& call);
Task<http::Response> start_tracking(Services& services, Call& call);
Task<http::Response> stop_tracking(Services& services, Call& call);
Task<http::Response> get_usage_units(Services& services, Call& call);
Task<http::Response> get_credits_chart(Services& services, Call& call);

// watch.cpp
Task<http::Response> get_metrics(Services& services, Call& call);
Task<http::Response> get_watch(Services& services, Call& call);
Task<http::Response> get_history(Services& services, Call& call);
Task<http::Response> list_destinations(Services& services, Call& call);

// alerts.cpp
Task<http::Response> list_alerts(Services& services, Call& call);
Task<http::Response> list_alert_rules(Services& services, Call& call);
Task<http::Response> acknowledge_alert(Services& services, Call& call);

// logs.cpp
Task<http::Response> get_logs(Services& services, Call& call);
Task<http::Response> clear_logs(Services& services, Call& call);
Task<http::Response> get_boot_log(Services& services, Call& call);
Task<http::Response> list_log_files(Services& services, Call& call);
Task<http::Response> get_log_file(Services& services, Call& call);
Task<http::Response> stream_boot_log(Services& services, Call& call);
Task<http::Response> stream_cmd_log(Services& services, Call& call);

// workloads.cpp
Task<http::Response> create_workload(Services& services, Call& call);
Task<http::Response> list_workloads(Services& services, Call& call);
Task<http::Response> remove_workloads(Services& services, Call& call);
Task<http::Response> stream_all_workload_stats(Services& services, Call& call);
Task<http::Response> get_workload(Services& services, Call& call);
Task<http::Response> update_workload(Services& services, Call& call);
Task<http::Response> remove_workload(Services& services, Call& call);
Task<http::Response> start_workload(Services& services, Call& call);
Task<http::Response> stop_workload(Services& services, Call& call);
Task<http::Response> get_workload_logs(Services& services, Call& call);
Task<http::Response> stream_workload_logs(Services& services, Call& call);
Task<http::Response> get_workload_stats(Services& services, Call& call);
Task<http::Response> stream_workload_stats(Services& services, Call& call);

// snapshots.cpp
Task<http::Response> create_snapshot(Services& services, Call& call);
Task<http::Response> list_snapshots(Services& services, Call& call);
Task<http::Response> get_snapshot(Services& services, Call& call);
Task<http::Response> remove_snapshot(Services& services, Call& call);
Task<http::Response> restore_latest(Services& services, Call& call);
Task<http::Response> restore_snapshot(Services& services, Call& call);
Task<http::Response> fork_workspace(Services& services, Call& call);
Task<http::Response> hold_workspace(Services& services, Call& call);
Task<http::Response> unhold_workspace(Services& services, Call& call);

// archives.cpp
Task<http::Response> create_archive(Services& services, Call& call);
Task<http::Response> list_archives(Services& services, Call& call);
Task<http::Response> get_archive(Services& services, Call& call);
Task<http::Response> remove_archive(Services& services, Call& call);
Task<http::Response> remove_archives(Services& services, Call& call);
Task<http::Response> download_archive(Services& services, Call& call);
Task<http::Response> restore_archive(Services& services, Call& call);
Task<http::Response> create_from_archive(Services& services, Call& call);

// network.cpp
Task<http::Response> get_network(Services& services, Call& call);
Task<http::Response> update_network(Services& services, Call& call);

// containment.cpp
Task<http::Response> contain_workspace(Services& services, Call& call);
Task<http::Response> release_workspace(Services& services, Call& call);
Task<http::Response> get_incident(Services& services, Call& call);
Task<http::Response> list_incidents(Services& services, Call& call);

// evidence.cpp
Task<http::Response> export_evidence(Services& services, Call& call);
Task<http::Response> open_evidence(Services& services, Call& call);
Task<http::Response> open_evidence_of(Services& services, Call& call);

// drills.cpp
Task<http::Response> run_drill(Services& services, Call& call);
Task<http::Response> list_drills(Services& services, Call& call);

// ready_check.cpp
Task<http::Response> get_ready_check(Services& services, Call& call);
Task<http::Response> set_ready_check(Services& services, Call& call);
Task<http::Response> remove_ready_check(Services& services, Call& call);

// flows.cpp
Task<http::Response> get_flows(Services& services, Call& call);

// links.cpp
Task<http::Response> create_link(Services& services, Call& call);
Task<http::Response> list_links(Services& services, Call& call);
Task<http::Response> remove_link(Services& services, Call& call);
Task<http::Response> get_graph(Services& services, Call& call);

// public_access.cpp
Task<http::Response> list_exposed(Services& services, Call& call);
Task<http::Response> expose_port(Services& services, Call& call);
Task<http::Response> change_exposed(Services& services, Call& call);
Task<http::Response> revoke_exposed(Services& services, Call& call);

// port_forward.cpp
Task<http::Response> open_port(Services& services, Call& call);

// connections.cpp
Task<http::Response> list_connections(Services& services, Call& call);
Task<http::Response> stream_connections(Services& services, Call& call);

// runtime_access.cpp
Task<http::Response> get_runtime_access(Services& services, Call& call);
Task<http::Response> enable_runtime_access(Services& services, Call& call);
Task<http::Response> disable_runtime_access(Services& services, Call& call);
Task<http::Response> rotate_runtime_token(Services& services, Call& call);

// exec.cpp
Task<http::Response> open_exec_socket(Services& services, Call& call);

// files.cpp
Task<http::Response> read_raw_file(Services& services, Call& call);
Task<http::Response> write_raw_file(Services& services, Call& call);
Task<http::Response> stat_file(Services& services, Call& call);
Task<http::Response> list_files(Services& services, Call& call);
Task<http::Response> make_directory(Services& services, Call& call);
Task<http::Response> delete_file(Services& services, Call& call);
Task<http::Response> rename_file(Services& services, Call& call);

// namespaces.cpp
Task<http::Response> create_namespace(Services& services, Call& call);
Task<http::Response> ensure_namespace(Services& services, Call& call);
Task<http::Response> list_namespaces(Services& services, Call& call);
Task<http::Response> get_namespace(Services& services, Call& call);
Task<http::Response> update_namespace(Services& services, Call& call);
Task<http::Response> remove_namespace(Services& services, Call& call);
Task<http::Response> suspend_namespace(Services& services, Call& call);
Task<http::Response> activate_namespace(Services& services, Call& call);
Task<http::Response> stop_namespace_workspaces(Services& services, Call& call);
Task<http::Response> get_namespace_activity(Services& services, Call& call);
Task<http::Response> get_namespace_usage(Services& services, Call& call);
Task<http::Response> list_credit_namespaces(Services& services, Call& call);
Task<http::Response> get_credit_namespace(Services& services, Call& call);
Task<http::Response> get_credit_defaults(Services& services, Call& call);
Task<http::Response> set_namespace_quota(Services& services, Call& call);
Task<http::Response> reset_namespace_quota(Services& services, Call& call);
Task<http::Response> set_credit_default(Services& services, Call& call);
Task<http::Response> remove_credit_default(Services& services, Call& call);
Task<http::Response> toggle_credit_default(Services& services, Call& call);

// tokens.cpp
Task<http::Response> create_token(Services& services, Call& call);
Task<http::Response> list_tokens(Services& services, Call& call);
Task<http::Response> get_token(Services& services, Call& call);
Task<http::Response> revoke_token(Services& services, Call& call);
Task<http::Response> rotate_token(Services& services, Call& call);

// secrets.cpp
Task<http::Response> list_secrets(Services& services, Call& call);
Task<http::Response> set_secret(Services& services, Call& call);
Task<http::Response> get_secret(Services& services, Call& call);
Task<http::Response> remove_secret(Services& services, Call& call);

// receipts.cpp
Task<http::Response> list_receipts(Services& services, Call& call);
Task<http::Response> get_receipt(Services& services, Call& call);
Task<http::Response> get_receipt_key(Services& services, Call& call);

// webhooks.cpp
Task<http::Response> list_webhooks(Services& services, Call& call);
Task<http::Response> list_webhook_events(Services& services, Call& call);
Task<http::Response> create_webhook(Services& services, Call& call);
Task<http::Response> get_webhook(Services& services, Call& call);
Task<http::Response> update_webhook(Services& services, Call& call);
Task<http::Response> remove_webhook(Services& services, Call& call);
Task<http::Response> list_deliveries(Services& services, Call& call);

}  // namespace cofferdam::api
