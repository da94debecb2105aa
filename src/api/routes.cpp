#include "api/routes.h"

#include <algorithm>
#include <iterator>

namespace cofferdam::api {
namespace {

using identity::Verb;

constexpr Route kRoutes[] = {
    // The host.
    {"GET", "/health", get_health, Verb::read, Reach::open, "Whether the daemon answers"},
    {"GET", "/desktop", refuse, Verb::read, Reach::open, "this host has no desktops"},
    {"GET", "/openapi.json", get_openapi, Verb::read, Reach::open, "This document"},
    {"GET", "/host", get_host, Verb::read, Reach::account, "The daemon and what it runs on"},
    {"POST", "/shutdown", shut_down_host, Verb::admin, Reach::account, "End the daemon and what it runs", "",
     "Shutdown"},
    {"POST", "/backup", back_up_host, Verb::admin, Reach::account,
     "The daemon's own state, sealed under a passphrase: what `coffer restore` takes", "", "Backup"},

    // The ledger.
    {"GET", "/events", list_events, Verb::read, Reach::signed_in, "What was done: the newest entries of the ledger",
     "workspace,actor,kind,since,until,before,limit"},
    {"GET", "/events/stream", stream_entries, Verb::read, Reach::signed_in,
     "The same as they come, as server-sent events", "workspace,actor,kind,from"},
    {"GET", "/events/export", export_events, Verb::read, Reach::signed_in,
     "All entries as lines of JSON, plain or as OCSF events", "format,workspace,actor,kind,since,until,from"},
    {"GET", "/ledger", get_ledger, Verb::read, Reach::account, "How the ledger stands"},
    {"GET", "/ledger/checkpoint", get_checkpoint, Verb::read, Reach::account,
     "The newest signed checkpoint (C2SP tlog-checkpoint)"},
    {"GET", "/ledger/keys", get_ledger_keys, Verb::read, Reach::account, "The chain of keys that sign it"},
    {"GET", "/ledger/entries/{number}/proof", prove_entry, Verb::read, Reach::account,
     "That an entry is in the ledger, to be checked anywhere (C2SP tlog-proof)"},
    {"GET", "/ledger/consistency", prove_consistency, Verb::read, Reach::account,
     "That the ledger only grew from one size to another", "from,to"},

    // The watch.
    {"GET", "/metrics", get_metrics, Verb::read, Reach::account,
     "Figures of the host and its workspaces, for Prometheus"},
    {"GET", "/watch", get_watch, Verb::read, Reach::signed_in,
     "What the running workspaces use, side by side, as measured outside of them"},
    {"GET", "/alerts", list_alerts, Verb::read, Reach::signed_in, "Alerts, the newest first", "workspace,state,limit"},
    {"GET", "/alerts/rules", list_alert_rules, Verb::read, Reach::account, "The rules that raise alerts"},
    {"POST", "/alerts/{alert}/ack", acknowledge_alert, Verb::lifecycle, Reach::signed_in,
     "Say that somebody has seen to an alert"},

    // Before /workspace/{id}: these are no workspaces.
    {"GET", "/workspace/images", list_images, Verb::read, Reach::signed_in, "Images that are built or can be",
     "search,category"},
    {"POST", "/workspace/images/import", import_image, Verb::admin, Reach::account,
     "Import an image from a file of the host", "", "ImageImport"},
    {"POST", "/workspace/images/{name}/build", build_image, Verb::admin, Reach::account,
     "Build an image; progress as NDJSON", "", "ImageBuild"},
    {"DELETE", "/workspace/images/{name}", remove_image, Verb::admin, Reach::account, "Remove an image"},
    {"GET", "/workspace/quota", get_quota, Verb::read, Reach::signed_in, "What may be made and what is in use"},
    {"GET", "/workspace/estimate", get_estimate, Verb::read, Reach::signed_in, "What a month would use, in credits",
     "cpu,ram_mb,disk_mb"},
    {"GET", "/workspace/usage", get_usage, Verb::read, Reach::signed_in, "What the workspaces have used"},
    {"GET", "/workspace/activity", get_activity, Verb::read, Reach::signed_in, "The latest events of workspaces",
     "limit"},
    {"GET", "/workspace/archived", list_archived, Verb::read, Reach::signed_in, "Archived workspaces: none"},

    // Workspaces.
    {"POST", "/workspace", create_workspace, Verb::lifecycle, Reach::signed_in, "Create a workspace", "",
     "WorkspaceCreate"},
    {"GET", "/workspace", list_workspaces, Verb::read, Reach::signed_in, "List workspaces",
     "page,limit,status,mode,namespace"},
    {"GET", "/workspace/{id}", get_workspace, Verb::read, Reach::workspace, "One workspace, by id, slug or name"},
    {"PUT", "/workspace/{id}", update_workspace, Verb::lifecycle, Reach::workspace,
     "Change name, slug, logo or configuration", "", "WorkspaceUpdate"},
    {"DELETE", "/workspace/{id}", remove_workspace, Verb::lifecycle, Reach::workspace,
     "Destroy a workspace and all that is in it"},
    {"GET", "/workspace/{id}/details", get_details, Verb::read, Reach::workspace,
     "A workspace with everything around it"},
    {"POST", "/workspace/{id}/start", start_workspace, Verb::lifecycle, Reach::workspace, "Start", "", "Start"},
    {"POST", "/workspace/{id}/stop", stop_workspace, Verb::lifecycle, Reach::workspace, "Stop"},
    {"POST", "/workspace/{id}/restart", restart_workspace, Verb::lifecycle, Reach::workspace, "Stop and start"},
    {"POST", "/workspace/{id}/pause", pause_workspace, Verb::lifecycle, Reach::workspace, "Let it stand still"},
    {"POST", "/workspace/{id}/suspend", suspend_workspace, Verb::lifecycle, Reach::workspace,
     "Put its memory on disk until it is needed"},
    {"POST", "/workspace/{id}/resume", resume_workspace, Verb::lifecycle, Reach::workspace, "Let it run on"},
    {"POST", "/workspace/{id}/ping", ping_workspace, Verb::lifecycle, Reach::workspace, "Begin its time to live anew",
     "", "Ping"},
    {"POST", "/workspace/{id}/provisioning/retry", retry_provisioning, Verb::lifecycle, Reach::workspace,
     "Start one that failed"},

    // Lifecycle.
    {"GET", "/workspace/{id}/lifecycle", get_lifecycle, Verb::read, Reach::workspace, "Mode, time to live, restarts"},
    {"DELETE", "/workspace/{id}/lifecycle", remove_workspace, Verb::lifecycle, Reach::workspace, "Destroy a workspace"},
    {"POST", "/workspace/{id}/lifecycle/permanent", make_permanent, Verb::lifecycle, Reach::workspace, "Let it stay",
     "", "MakePermanent"},
    {"POST", "/workspace/{id}/lifecycle/temporary", make_temporary, Verb::lifecycle, Reach::workspace,
     "Let it end by itself", "", "MakeTemporary"},
    {"PUT", "/workspace/{id}/lifecycle/ttl", set_workspace_ttl, Verb::lifecycle, Reach::workspace,
     "Change its time to live", "", "Ttl"},
    {"PUT", "/workspace/{id}/lifecycle/idle", set_workspace_idle, Verb::lifecycle, Reach::workspace,
     "What happens when nobody uses it", "", "Idle"},

    // Resources, metadata.
    {"GET", "/workspace/{id}/resources", get_resources, Verb::read, Reach::workspace, "Its size"},
    {"PUT", "/workspace/{id}/resources", set_resources, Verb::lifecycle, Reach::workspace, "Change its size", "",
     "Resources"},
    {"PATCH", "/workspace/{id}/resources", set_resources, Verb::lifecycle, Reach::workspace, "Change its size", "",
     "Resources"},
    {"GET", "/workspace/{id}/metadata", get_metadata, Verb::read, Reach::workspace, "Notes of its user"},
    {"PUT", "/workspace/{id}/metadata", replace_metadata, Verb::lifecycle, Reach::workspace, "Replace the notes", "",
     "Metadata"},
    {"PATCH", "/workspace/{id}/metadata", merge_metadata, Verb::lifecycle, Reach::workspace, "Add to the notes", "",
     "Metadata"},

    // Figures and logs.
    {"GET", "/workspace/{id}/history", get_history, Verb::read, Reach::workspace,
     "What it used, by the second, the minute or the hour, as measured outside of it", "span,limit"},
    {"GET", "/workspace/{id}/destinations", list_destinations, Verb::read, Reach::workspace,
     "Where it has connected to, and how many bytes went there"},
    {"GET", "/workspace/{id}/stats", get_workspace_stats, Verb::read, Reach::workspace, "What it uses now"},
    {"GET", "/workspace/{id}/stats/stream", stream_workspace_stats, Verb::read, Reach::workspace,
     "The same every two seconds, as server-sent events"},
    {"GET", "/workspace/{id}/info", get_info, Verb::read, Reach::workspace, "Its state"},
    {"GET", "/workspace/{id}/config", get_config, Verb::read, Reach::workspace, "Its configuration"},
    {"GET", "/workspace/{id}/logs", get_logs, Verb::read, Reach::workspace, "The last lines of a log",
     "source,tail_lines"},
    {"DELETE", "/workspace/{id}/logs", clear_logs, Verb::lifecycle, Reach::workspace, "Forget the logs"},
    {"GET", "/workspace/{id}/logs/boot", get_boot_log, Verb::read, Reach::workspace, "The console, as text"},
    {"GET", "/workspace/{id}/logs/list", list_log_files, Verb::read, Reach::workspace, "The logs there are"},
    {"GET", "/workspace/{id}/logs/file/{name}", get_log_file, Verb::read, Reach::workspace, "One log whole"},
    {"GET", "/workspace/{id}/logs/stream/boot", stream_boot_log, Verb::read, Reach::workspace,
     "Lines as they come, as server-sent events", "tail_lines"},
    {"GET", "/workspace/{id}/logs/stream/cmd", stream_cmd_log, Verb::read, Reach::workspace,
     "Lines as they come, as server-sent events", "tail_lines"},
    {"GET", "/workspace/{id}/usage", get_workspace_usage, Verb::read, Reach::workspace,
     "What it has used, by the hour or by the day", "from,to,tier,last,all"},
    {"GET", "/workspace/{id}/usage/totals", get_workspace_totals, Verb::read, Reach::workspace,
     "All that it has used, as far as it is kept"},
    {"GET", "/workspace/{id}/usage/credits/chart", get_credits_chart, Verb::read, Reach::workspace,
     "Credits (hours of vCPUs) of the last 30 days"},
    {"DELETE", "/workspace/{id}/usage", wipe_usage, Verb::lifecycle, Reach::workspace,
     "Forget what it has used; its namespace's use stays"},
    {"POST", "/workspace/{id}/usage/tracking/start", start_tracking, Verb::lifecycle, Reach::workspace,
     "Write down what it uses"},
    {"POST", "/workspace/{id}/usage/tracking/stop", stop_tracking, Verb::lifecycle, Reach::workspace,
     "Do not write down what it uses; its namespace's use counts on"},

    // Workloads. What is no id comes first.
    {"POST", "/workspace/{id}/workloads", create_workload, Verb::exec, Reach::workspace, "Keep a command running", "",
     "WorkloadCreate"},
    {"GET", "/workspace/{id}/workloads", list_workloads, Verb::read, Reach::workspace, "Its workloads", "states,name"},
    {"DELETE", "/workspace/{id}/workloads", remove_workloads, Verb::exec, Reach::workspace, "Remove all workloads"},
    {"GET", "/workspace/{id}/workloads/stats/stream", stream_all_workload_stats, Verb::read, Reach::workspace,
     "Figures of all, as server-sent events"},
    {"GET", "/workspace/{id}/workloads/{workload}", get_workload, Verb::read, Reach::workspace,
     "One workload, by id or name"},
    {"PUT", "/workspace/{id}/workloads/{workload}", update_workload, Verb::exec, Reach::workspace, "Change a workload",
     "", "WorkloadUpdate"},
    {"PATCH", "/workspace/{id}/workloads/{workload}", update_workload, Verb::exec, Reach::workspace,
     "Change a workload", "", "WorkloadUpdate"},
    {"DELETE", "/workspace/{id}/workloads/{workload}", remove_workload, Verb::exec, Reach::workspace,
     "Remove a workload"},
    {"POST", "/workspace/{id}/workloads/{workload}/start", start_workload, Verb::exec, Reach::workspace,
     "Start a workload"},
    {"POST", "/workspace/{id}/workloads/{workload}/stop", stop_workload, Verb::exec, Reach::workspace,
     "Stop a workload"},
    {"GET", "/workspace/{id}/workloads/{workload}/status", get_workload, Verb::read, Reach::workspace, "One workload"},
    {"GET", "/workspace/{id}/workloads/{workload}/logs", get_workload_logs, Verb::read, Reach::workspace,
     "The last of its output", "tail"},
    {"GET", "/workspace/{id}/workloads/{workload}/logs/stream", stream_workload_logs, Verb::read, Reach::workspace,
     "Its output from now on, as server-sent events"},
    {"GET", "/workspace/{id}/workloads/{workload}/stats", get_workload_stats, Verb::read, Reach::workspace,
     "What it uses now"},
    {"GET", "/workspace/{id}/workloads/{workload}/stats/stream", stream_workload_stats, Verb::read, Reach::workspace,
     "The same, as server-sent events"},

    // Network: everything is closed.
    {"GET", "/workspace/{id}/network", get_network, Verb::read, Reach::workspace, "What its network lets through"},
    {"PATCH", "/workspace/{id}/network", update_network, Verb::network, Reach::workspace,
     "Change it; only what changes nothing is taken yet", "", "Network"},
    {"PUT", "/workspace/{id}/network", update_network, Verb::network, Reach::workspace,
     "Change what its network lets through", "", "Network"},
    {"GET", "/workspace/{id}/public-access", list_exposed, Verb::read, Reach::workspace, "Its exposed ports"},
    {"POST", "/workspace/{id}/public-access", expose_port, Verb::network, Reach::workspace,
     "Give a port a URL on this host", "", "Expose"},
    {"PATCH", "/workspace/{id}/public-access/{port}", change_exposed, Verb::network, Reach::workspace,
     "Change the name of an exposed port", "", "ExposeChange"},
    {"DELETE", "/workspace/{id}/public-access/{port}", revoke_exposed, Verb::network, Reach::workspace,
     "Close an exposed port"},
    {"GET", "/workspace/{id}/ports/{port}", open_port, Verb::network, Reach::workspace,
     "One connection to a port, over a WebSocket: binary messages are its bytes, the text \"end\" its end"},
    {"GET", "/workspace/{id}/connections", list_connections, Verb::read, Reach::workspace,
     "What was let through and refused, newest last", "limit,before"},
    {"GET", "/workspace/{id}/connections/stream", stream_connections, Verb::read, Reach::workspace,
     "The same as it comes, as server-sent events"},
    {"POST", "/workspace/{id}/network/ip", refuse, Verb::network, Reach::workspace,
     "a workspace has no address of its own outside; nothing leaves it"},

    // Runtime tokens, under both names.
    {"GET", "/workspace/{id}/runtime-api-access", get_runtime_access, Verb::tokens, Reach::workspace,
     "Whether there are runtime tokens for it"},
    {"POST", "/workspace/{id}/runtime-api-access/enable", enable_runtime_access, Verb::tokens, Reach::workspace,
     "A runtime token for it"},
    {"POST", "/workspace/{id}/runtime-api-access/disable", disable_runtime_access, Verb::tokens, Reach::workspace,
     "Revoke its runtime tokens"},
    {"GET", "/workspace/{id}/runtime-api-access/token", enable_runtime_access, Verb::tokens, Reach::workspace,
     "A runtime token for it"},
    {"POST", "/workspace/{id}/runtime-api-access/token", rotate_runtime_token, Verb::tokens, Reach::workspace,
     "Revoke its runtime tokens and make a new one"},
    {"POST", "/workspace/{id}/runtime-api-access/workspace", enable_runtime_access, Verb::tokens, Reach::workspace,
     "A runtime token for it"},
    {"POST", "/workspace/{id}/runtime-api-access/reconnect", enable_runtime_access, Verb::tokens, Reach::workspace,
     "A runtime token for it"},
    {"GET", "/workspace/{id}/runtime-api-access/token/raw", refuse, Verb::tokens, Reach::workspace,
     "nothing can connect to a workspace but through this host: use the runtime token"},
    {"GET", "/workspace/{id}/internal-api-access", get_runtime_access, Verb::tokens, Reach::workspace,
     "Whether there are runtime tokens for it"},
    {"POST", "/workspace/{id}/internal-api-access/enable", enable_runtime_access, Verb::tokens, Reach::workspace,
     "A runtime token for it"},
    {"POST", "/workspace/{id}/internal-api-access/disable", disable_runtime_access, Verb::tokens, Reach::workspace,
     "Revoke its runtime tokens"},
    {"GET", "/workspace/{id}/internal-api-access/token", enable_runtime_access, Verb::tokens, Reach::workspace,
     "A runtime token for it"},
    {"POST", "/workspace/{id}/internal-api-access/token", rotate_runtime_token, Verb::tokens, Reach::workspace,
     "Revoke its runtime tokens and make a new one"},
    {"POST", "/workspace/{id}/internal-api-access/workspace", enable_runtime_access, Verb::tokens, Reach::workspace,
     "A runtime token for it"},
    {"POST", "/workspace/{id}/internal-api-access/reconnect", enable_runtime_access, Verb::tokens, Reach::workspace,
     "A runtime token for it"},
    {"GET", "/workspace/{id}/internal-api-access/token/raw", refuse, Verb::tokens, Reach::workspace,
     "nothing can connect to a workspace but through this host: use the runtime token"},

    // Files and commands, as the command line uses them.
    {"GET", "/workspace/{id}/exec/ws", open_exec_socket, Verb::exec, Reach::workspace,
     "Run a command over a WebSocket (v5.channel.k8s.io)", "destroy_after"},
    {"GET", "/workspace/{id}/files/raw", read_raw_file, Verb::files, Reach::workspace, "The bytes of a file", "path"},
    {"PUT", "/workspace/{id}/files/raw", write_raw_file, Verb::files, Reach::workspace, "Write a file",
     "path,mode,parents,owner"},
    {"GET", "/workspace/{id}/files/stat", stat_file, Verb::files, Reach::workspace, "What a path is", "path"},
    {"GET", "/workspace/{id}/files/list", list_files, Verb::files, Reach::workspace, "What a folder holds", "path"},
    {"POST", "/workspace/{id}/files/mkdir", make_directory, Verb::files, Reach::workspace, "Make a folder", "",
     "MakeDirectory"},
    {"POST", "/workspace/{id}/files/delete", delete_file, Verb::files, Reach::workspace, "Delete a file or folder", "",
     "DeleteFile"},
    {"POST", "/workspace/{id}/files/rename", rename_file, Verb::files, Reach::workspace, "Rename a file or folder", "",
     "RenameFile"},

    // What is wrong with a workspace, and what it can do.
    {"POST", "/workspace/{id}/contain", contain_workspace, Verb::lifecycle, Reach::workspace,
     "Cut it off from everything and keep it as it is", "", "Contain"},
    {"POST", "/workspace/{id}/release", release_workspace, Verb::admin, Reach::workspace,
     "Give a contained workspace back: paused, with its network, without its tokens", "", "Release"},
    {"GET", "/workspace/{id}/incident", get_incident, Verb::read, Reach::workspace,
     "Its last containment: steps, report, release"},
    {"GET", "/incidents", list_incidents, Verb::read, Reach::signed_in, "Containments, the newest first",
     "workspace,limit"},
    {"POST", "/workspace/{id}/evidence", export_evidence, Verb::admin, Reach::workspace,
     "A sealed bundle of all that is known of it", "", "Evidence"},
    {"POST", "/workspace/{id}/evidence/open", open_evidence_of, Verb::admin, Reach::workspace,
     "A workspace without any network that goes on from what was kept of it", "", "EvidenceOpen"},
    {"POST", "/evidence/open", open_evidence, Verb::admin, Reach::account, "The same from a bundle, which is the body",
     "name,ttl,key"},
    {"POST", "/workspace/{id}/drill", run_drill, Verb::lifecycle, Reach::workspace,
     "Bring a snapshot back for a moment, without a network, and say how long it took", "", "Drill"},
    {"GET", "/workspace/{id}/ready-check", get_ready_check, Verb::read, Reach::workspace,
     "The command by which drills know whether it is ready"},
    {"PUT", "/workspace/{id}/ready-check", set_ready_check, Verb::lifecycle, Reach::workspace,
     "Another one, for drills to come", "", "ReadyCheck"},
    {"DELETE", "/workspace/{id}/ready-check", remove_ready_check, Verb::lifecycle, Reach::workspace,
     "None: drills ask whether its guest answers"},
    {"GET", "/drills", list_drills, Verb::read, Reach::signed_in, "The last drill of each workspace", "workspace"},
    {"GET", "/flows", get_flows, Verb::read, Reach::signed_in,
     "What data workspaces can reach, where it flows, who can see it, what becomes of it", "workspace"},

    // Links: one workspace may open connections to another.
    {"POST", "/links", create_link, Verb::network, Reach::signed_in, "Let one workspace reach ports of another", "",
     "LinkCreate"},
    {"GET", "/links", list_links, Verb::read, Reach::signed_in, "Links of the workspaces one may see", "workspace"},
    {"DELETE", "/links/{link}", remove_link, Verb::network, Reach::signed_in, "Remove a link"},
    {"GET", "/graph", get_graph, Verb::read, Reach::signed_in, "Who can reach whom"},

    // Namespaces.
    {"POST", "/namespaces", create_namespace, Verb::admin, Reach::account, "Create a namespace", "", "NamespaceCreate"},
    {"POST", "/namespaces/ensure", ensure_namespace, Verb::admin, Reach::account,
     "The namespace of that slug, made when there is none", "", "NamespaceCreate"},
    {"GET", "/namespaces", list_namespaces, Verb::read, Reach::signed_in, "List namespaces",
     "limit,offset,status,type,search,sortBy,sortOrder"},
    {"GET", "/namespaces/{namespace}", get_namespace, Verb::read, Reach::name_space, "One namespace, by id or slug"},
    {"PUT", "/namespaces/{namespace}", update_namespace, Verb::admin, Reach::name_space, "Change a namespace", "",
     "NamespaceUpdate"},
    {"DELETE", "/namespaces/{namespace}", remove_namespace, Verb::admin, Reach::name_space,
     "Remove a namespace, with its workspaces when asked", "", "NamespaceRemove"},
    {"POST", "/namespaces/{namespace}/suspend", suspend_namespace, Verb::admin, Reach::name_space,
     "Let nothing be made or started in it"},
    {"POST", "/namespaces/{namespace}/activate", activate_namespace, Verb::admin, Reach::name_space,
     "Let things be made in it again"},
    {"POST", "/namespaces/{namespace}/stop-workspaces", stop_namespace_workspaces, Verb::lifecycle, Reach::name_space,
     "Stop what can be stopped"},
    {"GET", "/namespaces/{namespace}/activity", get_namespace_activity, Verb::read, Reach::name_space,
     "What was done to it and in it", "limit,offset"},
    {"GET", "/namespaces/{namespace}/usage", get_namespace_usage, Verb::read, Reach::name_space,
     "What its workspaces were promised, and have used", "service,days"},
    {"GET", "/namespaces/{namespace}/usage-units", get_usage_units, Verb::read, Reach::name_space,
     "What its workspaces have used, by the hour or by the day", "from,to,groupBy"},

    // Credits: hours of promised vCPUs.
    {"GET", "/credits/namespaces", list_credit_namespaces, Verb::read, Reach::account,
     "Namespaces and their quotas of credits", "limit,offset,search,status"},
    {"GET", "/credits/namespaces/{namespace}", get_credit_namespace, Verb::read, Reach::name_space,
     "A namespace, its quotas of credits and what it has used", "days"},
    {"GET", "/credits/defaults", get_credit_defaults, Verb::read, Reach::account, "A default quota of credits",
     "level,service"},
    {"GET", "/credits/defaults/all", get_credit_defaults, Verb::read, Reach::account, "The default quotas of credits",
     "level"},
    {"POST", "/credits/namespace-quota", set_namespace_quota, Verb::admin, Reach::signed_in,
     "Limit the credits of a namespace", "", "QuotaSet"},
    {"POST", "/credits/reset-quota", reset_namespace_quota, Verb::admin, Reach::signed_in,
     "Begin to count a namespace's credits anew", "", "QuotaReset"},
    {"POST", "/credits/defaults", set_credit_default, Verb::admin, Reach::account, "Set a default quota", "",
     "QuotaDefault"},
    {"DELETE", "/credits/defaults", remove_credit_default, Verb::admin, Reach::account, "Remove a default quota", "",
     "QuotaService"},
    {"POST", "/credits/defaults/toggle-auto-apply", toggle_credit_default, Verb::admin, Reach::account,
     "Whether namespaces that are made from now on get it", "", "QuotaDefault"},

    // Tokens. Who may do what, the tokens themselves say.
    {"POST", "/tokens", create_token, Verb::tokens, Reach::signed_in, "Mint a token", "", "TokenCreate"},
    {"GET", "/tokens", list_tokens, Verb::tokens, Reach::signed_in, "Live tokens", "workspace,namespace"},
    {"GET", "/tokens/{token}", get_token, Verb::tokens, Reach::signed_in, "One token, without its secret"},
    {"DELETE", "/tokens/{token}", revoke_token, Verb::tokens, Reach::signed_in, "Revoke a token", "descendants"},
    {"POST", "/tokens/{token}/rotate", rotate_token, Verb::tokens, Reach::signed_in, "A new secret for a token", "",
     "TokenRotate"},

    // Secrets of a namespace. No answer holds a value.
    {"GET", "/secrets", list_secrets, Verb::secrets, Reach::signed_in, "The names of secrets", "namespace"},
    {"PUT", "/secrets", set_secret, Verb::secrets, Reach::signed_in, "Add or replace a secret", "namespace",
     "SecretSet"},
    {"GET", "/secrets/{secret}", get_secret, Verb::secrets, Reach::signed_in, "When a secret was set", "namespace"},
    {"PUT", "/secrets/{secret}", set_secret, Verb::secrets, Reach::signed_in, "Add or replace a secret", "namespace",
     "SecretSet"},
    {"DELETE", "/secrets/{secret}", remove_secret, Verb::secrets, Reach::signed_in, "Remove a secret", "namespace"},

    // Webhooks.
    {"GET", "/webhooks", list_webhooks, Verb::admin, Reach::signed_in, "List webhooks", "namespace"},
    {"GET", "/webhooks/events", list_webhook_events, Verb::read, Reach::signed_in, "What can be subscribed to"},
    {"POST", "/webhooks", create_webhook, Verb::admin, Reach::signed_in, "Have events delivered to a URL", "",
     "WebhookCreate"},
    {"GET", "/webhooks/{webhook}", get_webhook, Verb::admin, Reach::signed_in, "One webhook"},
    {"PUT", "/webhooks/{webhook}", update_webhook, Verb::admin, Reach::signed_in, "Change a webhook", "",
     "WebhookUpdate"},
    {"DELETE", "/webhooks/{webhook}", remove_webhook, Verb::admin, Reach::signed_in, "Remove a webhook"},
    {"GET", "/webhooks/{webhook}/deliveries", list_deliveries, Verb::admin, Reach::signed_in, "Its last deliveries"},

    // Receipts of what was erased.
    {"GET", "/receipts", list_receipts, Verb::read, Reach::signed_in, "Erasure receipts, the newest first",
     "workspace,before,limit"},
    {"GET", "/receipts/key", get_receipt_key, Verb::read, Reach::signed_in, "The public key they are signed with"},
    {"GET", "/receipts/{receipt}", get_receipt, Verb::read, Reach::signed_in, "One receipt with its signature"},

    // What a workspace was: snapshots, archives, and the hold that keeps all of it.
    {"POST", "/workspace/{id}/snapshot", create_snapshot, Verb::lifecycle, Reach::workspace,
     "Keep memory and disk as they are now", "", "SnapshotCreate"},
    {"GET", "/workspace/{id}/snapshots", list_snapshots, Verb::read, Reach::workspace, "Its snapshots, oldest first"},
    {"GET", "/workspace/{id}/snapshots/{snapshot}", get_snapshot, Verb::read, Reach::workspace, "One snapshot"},
    {"DELETE", "/workspace/{id}/snapshots/{snapshot}", remove_snapshot, Verb::lifecycle, Reach::workspace,
     "Destroy a snapshot and its key"},
    {"POST", "/workspace/{id}/restore", restore_latest, Verb::lifecycle, Reach::workspace,
     "Go back to the latest snapshot", "", "Restore"},
    {"POST", "/workspace/{id}/snapshots/{snapshot}/restore", restore_snapshot, Verb::lifecycle, Reach::workspace,
     "Go back to a snapshot"},
    {"POST", "/workspace/{id}/fork", fork_workspace, Verb::lifecycle, Reach::workspace,
     "New workspaces that go on from it as it is now", "", "Fork"},
    {"POST", "/workspace/{id}/snapshots/{snapshot}/fork", fork_workspace, Verb::lifecycle, Reach::workspace,
     "New workspaces that go on from a snapshot", "", "Fork"},
    {"POST", "/workspace/{id}/hold", hold_workspace, Verb::lifecycle, Reach::workspace,
     "Let nothing of it be deleted until the hold is lifted", "", "Hold"},
    {"DELETE", "/workspace/{id}/hold", unhold_workspace, Verb::lifecycle, Reach::workspace, "Lift the hold"},
    {"POST", "/workspace/{id}/archives", create_archive, Verb::lifecycle, Reach::workspace,
     "Keep paths as they are now", "", "ArchiveCreate"},
    {"GET", "/workspace/{id}/archives", list_archives, Verb::read, Reach::workspace, "Its archives, oldest first"},
    {"DELETE", "/workspace/{id}/archives", remove_archives, Verb::lifecycle, Reach::workspace,
     "Destroy all its archives and their keys"},
    {"GET", "/workspace/{id}/archives/{version}", get_archive, Verb::read, Reach::workspace, "One archive"},
    {"DELETE", "/workspace/{id}/archives/{version}", remove_archive, Verb::lifecycle, Reach::workspace,
     "Destroy an archive and its key"},
    {"GET", "/workspace/{id}/archives/{version}/download", download_archive, Verb::files, Reach::workspace,
     "An archive's bytes, a tar.zst"},
    {"POST", "/workspace/{id}/archives/{version}/restore", restore_archive, Verb::files, Reach::workspace,
     "Put an archive's files back", "", "ArchiveRestore"},
    {"POST", "/workspace/{id}/archives/{version}/workspace", create_from_archive, Verb::files, Reach::workspace,
     "A new workspace with an archive's files in it", "", "WorkspaceCreate"},

    // What the hosted service has and this host has not.
    {"GET", "/workspace/{id}/domain", refuse, Verb::read, Reach::workspace,
     "domains of one's own are not served: put a proxy in front, with the Host that public-access names"},
    {"POST", "/workspace/{id}/domain", refuse, Verb::network, Reach::workspace,
     "domains of one's own are not served: put a proxy in front, with the Host that public-access names"},
    {"DELETE", "/workspace/{id}/domain", refuse, Verb::network, Reach::workspace,
     "domains of one's own are not served: put a proxy in front, with the Host that public-access names"},
    {"POST", "/workspace/{id}/domain/check", refuse, Verb::network, Reach::workspace,
     "domains of one's own are not served: put a proxy in front, with the Host that public-access names"},
    {"POST", "/workspace/{id}/domain/ssl/renew", refuse, Verb::network, Reach::workspace,
     "domains of one's own are not served: put a proxy in front, with the Host that public-access names"},
    {"GET", "/workspace/{id}/ssh", refuse, Verb::read, Reach::workspace,
     "there is no SSH into workspaces; use exec, or terminals of the runtime"},
    {"POST", "/workspace/{id}/ssh/enable", refuse, Verb::network, Reach::workspace,
     "there is no SSH into workspaces; use exec, or terminals of the runtime"},
    {"POST", "/workspace/{id}/ssh/disable", refuse, Verb::network, Reach::workspace,
     "there is no SSH into workspaces; use exec, or terminals of the runtime"},
    {"POST", "/workspace/{id}/ssh/password", refuse, Verb::network, Reach::workspace,
     "there is no SSH into workspaces; use exec, or terminals of the runtime"},
    {"POST", "/workspace/{id}/ssh/key", refuse, Verb::network, Reach::workspace,
     "there is no SSH into workspaces; use exec, or terminals of the runtime"},
    {"POST", "/workspace/{id}/desktop/install", refuse, Verb::lifecycle, Reach::workspace,
     "workspaces have no desktop"},
    {"GET", "/workspace/{id}/desktop/installation", refuse, Verb::read, Reach::workspace, "workspaces have no desktop"},
    {"POST", "/workspace/{id}/desktop/ssh", refuse, Verb::lifecycle, Reach::workspace, "workspaces have no desktop"},
    {"GET", "/workspace/{id}/overlay", refuse, Verb::read, Reach::workspace,
     "workspaces have no overlay apart from their disk"},
    {"GET", "/workspace/{id}/overlay/usage", refuse, Verb::read, Reach::workspace,
     "workspaces have no overlay apart from their disk"},
    {"PUT", "/workspace/{id}/overlay/resize", refuse, Verb::lifecycle, Reach::workspace,
     "workspaces have no overlay apart from their disk"},
    {"POST", "/workspace/{id}/overlay/sync", refuse, Verb::lifecycle, Reach::workspace,
     "workspaces have no overlay apart from their disk"},
};

// Whether the path fits the pattern, segment by segment.
bool fits(std::string_view pattern, const std::vector<std::string>& segments) {
  for (const auto& segment : segments) {
    if (pattern.empty()) return false;
    pattern.remove_prefix(1);
    const std::string_view part = pattern.substr(0, pattern.find('/'));
    pattern.remove_prefix(part.size());
    if (!part.starts_with('{') && part != segment) return false;
  }
  return pattern.empty();
}

// What {…} of a pattern that fits has matched.
std::vector<std::string> params_of(std::string_view pattern, const std::vector<std::string>& segments) {
  std::vector<std::string> params;
  for (const auto& segment : segments) {
    pattern.remove_prefix(1);
    const std::string_view part = pattern.substr(0, pattern.find('/'));
    pattern.remove_prefix(part.size());
    if (part.starts_with('{')) params.push_back(segment);
  }
  return params;
}

// Whole families of the hosted service: any method, any path below.
constexpr std::string_view kElsewhere[] = {"analytics", "billing",       "cdn",   "domain",
                                           "edge",      "notifications", "pages", "tunnels"};
constexpr Route kElsewhereRoute{"*",
                                "/",
                                refuse,
                                Verb::read,
                                Reach::signed_in,
                                "this is a part of the hosted service that a host of one's own has not"};

}  // namespace

std::span<const Route> routes() { return kRoutes; }

Match find_route(std::string_view method, const std::vector<std::string>& segments) {
  if (method == "HEAD") method = "GET";
  Match match;
  for (const auto& route : kRoutes) {
    if (!fits(route.pattern, segments)) continue;
    if (route.method == method) {
      match.route = &route;
      match.params = params_of(route.pattern, segments);
      match.allowed.clear();
      return match;
    }
    if (!match.allowed.empty()) match.allowed += ", ";
    match.allowed += route.method;
  }
  const bool elsewhere =
      match.allowed.empty() && !segments.empty() &&
      std::find(std::begin(kElsewhere), std::end(kElsewhere), segments.front()) != std::end(kElsewhere);
  if (elsewhere) match.route = &kElsewhereRoute;
  return match;
}

}  // namespace cofferdam::api
