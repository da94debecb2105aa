// What belongs to all workspaces together: limits, use, the latest events.
#include "api/event_log.h"
#include "api/handlers.h"
#include "api/permission.h"
#include "base/time.h"
#include "model/units.h"

namespace cofferdam::api {
namespace {

namespace json = boost::json;

constexpr double kMillis = 1000.0;
constexpr std::uint64_t kNsPerMs = 1'000'000;
constexpr int kMostCpus = 32, kMostMemoryMb = 65'536, kMostDiskMb = 1'048'576;

json::object sums(std::size_t count, std::uint64_t cpu_millis, std::uint64_t memory, std::uint64_t disk) {
  return {{"count", count},
          {"cpus", static_cast<double>(cpu_millis) / kMillis},
          {"memory_mb", memory},
          {"disk_size_mb", disk}};
}

}  // namespace

Task<http::Response> get_quota(Services& services, Call& call) {
  identity::Totals all, running;
  for (const auto& info : services.manager.list()) {
    if (!call.who().sees(info.id, info.spec.namespace_id)) continue;
    for (auto* sum : {&all, &running}) {
      if (sum == &running && info.state != model::State::running) continue;
      ++sum->workspaces;
      sum->cpu_millis += info.spec.cpu_millis;
      sum->memory_mib += info.spec.memory_mib;
      sum->disk_mib += info.spec.disk_mib;
    }
  }
  const std::uint64_t most = services.facts.max_workspaces;
  const bool room = services.manager.host_info().workspaces < most;
  json::object quota{{"plan", "self-hosted"},
                     {"planLabel", "Self-hosted"},
                     {"canCreate", room},
                     {"maxWorkspaces", most},
                     {"currentWorkspaces", all.workspaces},
                     {"maxSandboxes", most},
                     {"currentSandboxes", all.workspaces}};
  if (!room) quota["reason"] = "the host has as many workspaces as it may have";
  quota["limits"] = json::object{{"cpus", kMostCpus}, {"memory_mb", kMostMemoryMb}, {"disk_size_mb", kMostDiskMb}};
  // What the pool is bounded by is the host's memory, which is found out when a machine is started.
  quota["pool"] = json::object{{"count", most}, {"cpus", nullptr}, {"memory_mb", nullptr}, {"disk_size_mb", nullptr}};
  quota["pool_usage"] = sums(all.workspaces, all.cpu_millis, all.memory_mib, all.disk_mib);
  quota["running_pool"] = quota["pool"];
  quota["running_pool_usage"] = sums(running.workspaces, running.cpu_millis, running.memory_mib, running.disk_mib);
  co_return answer(std::move(quota));
}

Task<http::Response> get_estimate(Services& /*services*/, Call& /*call*/) {
  co_return answer({{"estimate", {{"min", 0}, {"avg", 0}, {"max", 0}}}, {"period", "month"}});
}

Task<http::Response> get_usage(Services& services, Call& call) {
  json::object usage;
  std::uint64_t cpu = 0, read = 0, written = 0;
  for (const auto& info : services.manager.list()) {
    if (!call.who().sees(info.id, info.spec.namespace_id)) continue;
    const auto machine = services.manager.machine(info.id);
    if (!machine) continue;
    const auto host = co_await (*machine)->host_metrics();
    if (!host) continue;  // it has just ended
    usage[info.id] = json::object{{"total_cpu_time_ns", host->cpu_ms * kNsPerMs},
                                  {"total_disk_read", host->disk_read_bytes},
                                  {"total_disk_write", host->disk_written_bytes},
                                  {"total_net_rx", 0},
                                  {"total_net_tx", 0}};
    cpu += host->cpu_ms * kNsPerMs;
    read += host->disk_read_bytes;
    written += host->disk_written_bytes;
  }
  co_return answer({{"usage", std::move(usage)},
                    {"total",
                     {{"total_cpu_time_ns", cpu},
                      {"total_disk_read", read},
                      {"total_disk_write", written},
                      {"total_net_rx", 0},
                      {"total_net_tx", 0}}}});
}

Task<http::Response> get_activity(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto limit, query_whole(call, "limit", 100, 1, EventLog::kKept));
  const auto recent = services.events.recent();
  json::array activity;
  for (auto event = recent.rbegin(); event != recent.rend() && activity.size() < limit; ++event) {
    if (!call.who().sees(event->workspace_id, event->namespace_id)) continue;
    const auto notice = notice_of(*event);
    CO_TRY_ASSIGN(const auto space, co_await slug_of(services, event->namespace_id));
    activity.emplace_back(json::object{{"event", notice.event},
                                       {"workspace_id", notice.workspace_id},
                                       {"workspace_name", notice.workspace_name},
                                       {"namespace", space},
                                       {"detail", notice.detail},
                                       {"created_at", format_rfc3339(notice.time)}});
  }
  co_return answer({{"activity", std::move(activity)}});
}

Task<http::Response> list_archived(Services& /*services*/, Call& /*call*/) {
  co_return answer({{"workspaces", json::array{}}, {"total", 0}});
}

}  // namespace cofferdam::api
